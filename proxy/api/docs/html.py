"""The manual as HTML: pages that run no script and load nothing from other servers."""

import re
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from proxy.api.docs.manual import PARSER, Manual
from proxy.api.docs.urls import DOCS, SEARCH, START, STYLESHEET
from proxy.operations.reference import EXAMPLE_BASE

MAX_QUERY_CHARACTERS = 100


class Layout:
    """What surrounds every page: search, contents, and the links of the API."""

    def __init__(self, manual: Manual, path_prefix: str, *, has_examples: bool) -> None:
        """Where ``has_examples``, this server answers the example links of the manual."""
        self._manual = manual
        self._path_prefix = path_prefix
        self._has_examples = has_examples

    def manual_page(self, name: str, below: str = "") -> bytes:
        """Render a page of the manual; ``below`` is HTML that follows it."""
        renderer = _PageRenderer(self._manual, name, self._path_prefix, self._has_examples)
        body = renderer.render(self._manual.tokens(name), PARSER.options, {})
        return self.page(self._manual.titles[name], body + below, current=name)

    def page(self, title: str, body: str, *, current: str | None = None, query: str = "") -> bytes:
        """``title`` is text, ``body`` is HTML."""
        prefix = self._path_prefix
        contents = "".join(
            f'<li><a href="{self.link(name)}"{_CURRENT if name == current else ""}>'
            f"{escape(text)}</a></li>"
            for name, text in self._manual.titles.items()
        )
        full_title = title if title == "Framekeep" else f"{title} · Framekeep"
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(full_title)}</title>"
            f'<link rel="stylesheet" href="{prefix}{STYLESHEET}"></head><body>'
            '<a class="skip" href="#main">Skip to the text</a>'
            f'<header><a class="home" href="{prefix}{DOCS}">Framekeep</a>'
            '<a class="jump" href="#contents">Contents</a>'
            f'<form role="search" action="{prefix}{SEARCH}">'
            '<input type="search" name="q" aria-label="Search the manual" '
            f'placeholder="Search" required maxlength="{MAX_QUERY_CHARACTERS}" '
            f'value="{escape(query)}"><button>Search</button></form></header>'
            f'<div class="columns"><main id="main">{body}</main>'
            f'<nav id="contents" aria-label="Contents"><h2>Contents</h2><ul>{contents}'
            f'<li><a href="{prefix}{DOCS}/api"{_CURRENT if current == "api" else ""}>'
            "HTTP API</a></li>"
            f'<li><a href="{prefix}{DOCS}#problems">Problems</a></li>'
            f'<li><a href="{prefix}/openapi.json">OpenAPI document</a></li>'
            "</ul></nav></div></body></html>\n"
        ).encode()

    def link(self, name: str, anchor: str = "") -> str:
        path = f"/{name}" if name != START else ""
        return f"{self._path_prefix}{DOCS}{path}{f'#{quote(anchor)}' if anchor else ''}"


_CURRENT = ' aria-current="page"'


class _PageRenderer(RendererHTML):
    def __init__(self, manual: Manual, page: str, path_prefix: str, has_examples: bool) -> None:
        super().__init__()
        self._manual = manual
        self._page = page
        self._path_prefix = path_prefix
        self._has_examples = has_examples
        self._open_links: list[bool] = []

    def link_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        address = self._address(str(tokens[idx].attrs.get("href", "")))
        self._open_links.append(address is not None)
        return "" if address is None else f'<a href="{escape(address)}">'

    def link_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "</a>" if self._open_links.pop() else ""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        text = escape(self.renderInlineAsText(token.children, options, env))
        address = self._address(str(token.attrs["src"]))
        return f'<img src="{escape(address)}" alt="{text}" loading="lazy">' if address else text

    def table_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return '<div class="wide" role="region" aria-label="Table" tabindex="0"><table>'

    def table_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "</table></div>"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell("th", tokens[idx])

    def td_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _cell("td", tokens[idx])

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<pre tabindex="0"><code>{escape(tokens[idx].content)}</code></pre>\n'

    def code_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return self.fence(tokens, idx, options, env)

    def html_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return escape(tokens[idx].content)

    def html_inline(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return self.html_block(tokens, idx, options, env)

    def _address(self, target: str) -> str | None:
        """Where a link or picture of the page leads; None where this server does not have it."""
        if target.startswith(f"{EXAMPLE_BASE}/"):
            path = target.removeprefix(EXAMPLE_BASE)
            return self._path_prefix + path if self._has_examples else None
        if re.match(r"[a-z]+:", target):
            return target
        path_below = self._manual.resolve(self._page, target)
        return None if path_below is None else f"{self._path_prefix}{DOCS}{path_below}"


def _cell(tag: str, token: Token) -> str:
    # The policy allows no inline style, which is how the parser says it.
    is_right = "right" in str(token.attrs.get("style", ""))
    scope = ' scope="col"' if tag == "th" else ""
    number = ' class="number"' if is_right else ""
    return f"<{tag}{scope}{number}>"
