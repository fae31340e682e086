"""Read request headers whose value may be given in several lines (RFC 9110 section 5.3)."""

from collections.abc import Sequence

from starlette.requests import Request


def combine_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by name; values of equal names are joined by commas."""
    combined = dict(headers)
    if len(combined) < len(headers):  # rare: most requests have each name once
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            values.setdefault(name, []).append(value)
        return {name: b", ".join(parts) for name, parts in values.items()}
    return combined


def list_header(request: Request, name: str) -> str:
    """Return the value of a header that is a list, of all its lines; empty where it is missing."""
    return ", ".join(request.headers.getlist(name))
