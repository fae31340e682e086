"""Render the pages of the manual."""

from functools import cached_property
from threading import Lock
from typing import Any

from proxy.api.docs.html import Layout
from proxy.api.docs.http_reference import calls_html, problems_html
from proxy.api.docs.manual import Manual, find_manual
from proxy.api.docs.search import Search
from proxy.api.docs.urls import START
from proxy.operations.reference import render_markdown
from proxy.operations.registry import OperationRegistry

HTML = "text/html; charset=utf-8"

_API_PAGE = "api"


class Pages:
    """Pages are rendered when they are first asked for, in a thread, and kept."""

    def __init__(
        self,
        registry: OperationRegistry,
        document: dict[str, Any],
        path_prefix: str,
        *,
        has_examples: bool,
    ) -> None:
        self._registry = registry
        self._document = document
        self._path_prefix = path_prefix
        self._has_examples = has_examples
        self._rendered: dict[str, bytes] = {}
        self._lock = Lock()

    def find(self, name: str) -> tuple[bytes, str] | None:
        """Return what has this name, and its content type."""
        with self._lock:
            if name in self._manual.titles or name == _API_PAGE:
                if name not in self._rendered:
                    self._rendered[name] = self._render(name)
                return self._rendered[name], HTML
            return self._manual.picture(name)

    def search(self, query: str) -> bytes:
        with self._lock:
            body = self._search.render(query, self._layout)
        return self._layout.page("Search", body, query=query)

    @cached_property
    def _manual(self) -> Manual:
        root = find_manual()
        reference = render_markdown(self._registry, root / "docs" / "operations")
        return Manual(root, {"operations": reference})

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self._manual, self._path_prefix, has_examples=self._has_examples)

    @cached_property
    def _search(self) -> Search:
        return Search(self._manual)

    def _render(self, name: str) -> bytes:
        if name == _API_PAGE:
            calls = calls_html(self._document, self._path_prefix)
            return self._layout.page("HTTP API", f"<h1>HTTP API</h1>{calls}", current=name)
        # Problem types are links to this page. A type is an identifier and does not change.
        below = f'<h2 id="problems">Problems</h2>{problems_html()}' if name == START else ""
        return self._layout.manual_page(name, below)
