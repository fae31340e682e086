"""Find sections of the manual by words."""

import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from proxy.api.docs.html import MAX_QUERY_CHARACTERS, Layout
from proxy.api.docs.manual import Manual, Section

_MAX_RESULTS = 30
_SNIPPET_CHARACTERS = 200


class Result(NamedTuple):
    """A section in which every word of the query occurs."""

    score: int
    page: str
    section: Section


class Search:
    def __init__(self, manual: Manual) -> None:
        """Read all pages, which takes a moment."""
        self._manual = manual
        self._sections = [
            (name, section) for name in manual.titles for section in manual.sections(name)
        ]

    def find(self, query: str) -> list[Result]:
        """Return the best results first. Upper and lower case are the same."""
        words = query[:MAX_QUERY_CHARACTERS].casefold().split()
        results = sorted(self._matches(words), key=lambda result: -result.score)
        return results[:_MAX_RESULTS]

    def render(self, query: str, layout: Layout) -> str:
        """The results as HTML."""
        results = self.find(query)
        count = {0: "Nothing", 1: "One section"}.get(len(results), f"{len(results)} sections")
        items = "".join(
            f'<li><a href="{layout.link(page, section.anchor)}">{self._heading(page, section)}'
            f"</a><p>{_snippet(section.text, query)}</p></li>"
            for _, page, section in results
        )
        summary = (
            f"{count} found for “{escape(query)}”." if query.strip() else "Write what to find."
        )
        return f'<h1>Search</h1><p role="status">{summary}</p><ol class="results">{items}</ol>'

    def _matches(self, words: list[str]) -> Iterator[Result]:
        for name, section in self._sections if words else ():
            title = self._manual.titles[name].casefold()
            heading, text = section.heading.casefold(), section.text.casefold()
            counts = [
                20 * (word in heading) + 5 * (word in title) + min(5, text.count(word))
                for word in words
            ]
            exact = 50 * (heading == " ".join(words))
            if all(counts) and any(word in heading + text for word in words):
                yield Result(sum(counts) + exact, name, section)

    def _heading(self, page: str, section: Section) -> str:
        title = self._manual.titles[page]
        parts = [title] if section.heading == title else [title, section.heading]
        return escape(": ".join(parts))


def _snippet(text: str, query: str) -> str:
    """The text around the first word that was found, with all words marked."""
    words = "|".join(re.escape(word) for word in query[:MAX_QUERY_CHARACTERS].split())
    found = re.search(words, text, re.IGNORECASE)
    start = max(0, (found.start() if found else 0) - _SNIPPET_CHARACTERS // 3)
    part = text[start : start + _SNIPPET_CHARACTERS]
    marked, end = "", 0
    for match in re.finditer(words, part, re.IGNORECASE):
        marked += f"{escape(part[end : match.start()])}<mark>{escape(match[0])}</mark>"
        end = match.end()
    dots = "…" if start + _SNIPPET_CHARACTERS < len(text) else ""
    return f"{'…' if start else ''}{marked}{escape(part[end:])}{dots}"
