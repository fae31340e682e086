"""The manual: the Markdown pages of this package, their names in URLs, and their sections."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from proxy.api.docs.urls import START

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")

_PICTURES = {".webp": "image/webp", ".jpg": "image/jpeg", ".png": "image/png"}


class Section(NamedTuple):
    """A heading and the text below it, as plain text; ``anchor`` is empty above the first one."""

    heading: str
    anchor: str
    text: str


class Manual:
    """The pages, by their name in URLs: ``smart-crop`` is docs/smart-crop.md."""

    def __init__(self, root: Path, generated: Mapping[str, str]) -> None:
        """``root`` has README.md, SECURITY.md and docs/; ``generated`` replaces pages by name."""
        self._root = root
        self._paths = {page_name(path): path for path in _page_paths(root)}
        self._texts = {
            name: generated.get(name) or (root / path).read_text(encoding="utf-8")
            for name, path in self._paths.items()
        }
        self._pictures = {
            path.relative_to(root / "docs").as_posix(): path
            for path in sorted((root / "docs").rglob("*"))
            if path.suffix in _PICTURES
        }
        titles = {name: _title(text) for name, text in self._texts.items()}
        self.titles = {name: titles[name] for name in self._order()}
        """The pages in the order of the README's table, then all others."""

    def tokens(self, name: str) -> list[Token]:
        """Parse a page. Each heading has its anchor as ``id``."""
        return parse_page(self._texts[name])

    def sections(self, name: str) -> Iterator[Section]:
        heading, anchor, texts = self.titles[name], "", list[str]()
        for before, token in pairwise(self.tokens(name)):  # no page begins with a text
            if before.type == "heading_open":
                yield Section(heading, anchor, " ".join(texts))
                heading, anchor, texts = plain_text(token), str(before.attrs["id"]), []
            elif token.type in {"inline", "fence", "code_block"}:
                texts.append(plain_text(token))
        yield Section(heading, anchor, " ".join(texts))

    def resolve(self, page: str, target: str) -> str | None:
        """Return the path below ``/docs`` of what a page refers to, or None if it is not here."""
        path, _, anchor = target.partition("#")
        if not path:
            return f"{_below(page)}#{anchor}"
        full = _normalize(self._paths[page].parent / path)
        for name, page_path in self._paths.items():
            if full == page_path:
                return _below(name) + (f"#{anchor}" if anchor else "")
        try:
            picture = full.relative_to("docs").as_posix()
        except ValueError:
            return None
        return f"/{picture}" if picture in self._pictures else None

    def picture(self, name: str) -> tuple[bytes, str] | None:
        """Return the bytes of a picture and its media type."""
        path = self._pictures.get(name)
        return None if path is None else (path.read_bytes(), _PICTURES[path.suffix])

    def _order(self) -> Iterator[str]:
        rows = [row for row in self._texts[START].splitlines() if row.startswith("| [")]
        linked = re.findall(r"\]\(([^)#]+\.md)\)", "\n".join(rows))
        names = [START, *(page_name(PurePosixPath(path)) for path in linked), *self._texts]
        return (name for name in dict.fromkeys(names) if name in self._texts)


def find_manual() -> Path:
    """Return the folder of the pages: in the installed package, or the checkout around it."""
    package = Path(str(files("proxy")))
    installed = package / "data" / "manual"
    return installed if installed.is_dir() else package.parent


def page_name(path: PurePosixPath) -> str:
    if path.name == "README.md":
        return START
    return path.with_suffix("").as_posix().removeprefix("docs/").lower()


def parse_page(text: str) -> list[Token]:
    """Parse a page of Markdown, with tables. HTML is shown as text, and comments are left out."""
    tokens = PARSER.parse(text)
    seen: dict[str, int] = {}
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            anchor = slugify(plain_text(content))
            count = seen[anchor] = seen.get(anchor, -1) + 1
            token.attrSet("id", f"{anchor}-{count}" if count else anchor)
    return [token for token in tokens if not is_comment(token)]


def is_comment(token: Token) -> bool:
    return token.type == "html_block" and token.content.lstrip().startswith("<!--")


def plain_text(token: Token) -> str:
    if not token.children:
        return token.content
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else plain_text(child)
        for child in token.children
        if child.type != "image"
    )


def slugify(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _page_paths(root: Path) -> Iterator[PurePosixPath]:
    yield PurePosixPath("README.md")
    for path in sorted((root / "docs").rglob("*.md")):
        yield PurePosixPath(path.relative_to(root).as_posix())
    yield PurePosixPath("SECURITY.md")


def _title(text: str) -> str:
    first = re.search(r"^# (.+)$", text, re.MULTILINE)
    return first[1] if first else "Framekeep"


def _below(name: str) -> str:
    return f"/{name}" if name else ""


def _normalize(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)
