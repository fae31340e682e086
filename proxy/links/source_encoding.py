"""How a source is written at the end of a link, in four forms, and read back as its one address."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from urllib.parse import quote

from proxy.errors import InvalidSource
from proxy.links.percent_encoding import percent_decode

_MERGED = re.compile(rb"(/https?:/)(/?)", re.IGNORECASE)
_WEB = re.compile(r"(https?)://(.+)", re.IGNORECASE | re.DOTALL)
_RAW_WEB = re.compile(r"https?:/", re.IGNORECASE)

# What arrives as it was written, through browsers, proxies and CDNs: no dot segments, which clients
# resolve, no empty segments, which proxies merge, no lonely question mark, which is lost.
_TRAVELS = re.compile(r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_FRAGILE = re.compile(r"//|/(?:\.|%2e){1,2}(?:[/?]|$)|/https?:/|^/|^$|\?$", re.IGNORECASE)


def restore_merged_slashes(path: bytes) -> bytes:
    """The path with both slashes of its source's ``http(s)://``; proxies may merge them to one."""
    first = _MERGED.search(path)
    if first is None or first[2]:
        return path
    return path[: first.end()] + b"/" + path[first.end() :]


class SourceEncoder:
    """The source at the end of a link; ``names`` are those of configured sources."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def decode(self, segment: str, rest: str) -> str:
        """The address if the source begins at this segment, else an empty text.

        ``rest`` is the link from this segment to its end. Raises BadSource.
        """
        if _RAW_WEB.match(rest):
            return self.normalize(rest)
        head, colon, _ = segment.partition(":")
        name = percent_decode(head)
        if name == "b64" and colon:
            return self.normalize(_from_base64(_alone(rest).removeprefix(f"{head}:")))
        if name in self._names:
            path = percent_decode(_without_query(rest)[len(head) + 1 :]) if colon else ""
            return self.normalize(f"{name}:{path}")
        if not colon and ":" in name:
            return self.normalize(percent_decode(_alone(rest)))
        return ""

    def encode(self, text: str) -> str:
        """The form that travels well. Raises BadSource for what no link could have said."""
        if text != self.normalize(text):
            raise InvalidSource("the scheme of an address is written in small letters")
        web = _WEB.fullmatch(text)
        if web:
            fit = _TRAVELS.fullmatch(text) and not _FRAGILE.search(web[2])
            return text if fit else _base64(text)
        name, _, path = text.partition(":")
        return _base64(text) if _FRAGILE.search(path) else f"{name}:{quote(path, safe='/')}"

    def normalize(self, text: str) -> str:
        """The address in its one spelling. Raises BadSource where it is none."""
        if web := _WEB.fullmatch(text):
            return f"{web[1].lower()}://{web[2]}"
        name, _, path = text.partition(":")
        if name not in self._names:
            raise InvalidSource(
                "a source is http(s)://…, the same percent-encoded, b64:… or NAME:path with the "
                "name of a configured source"
            )
        if not path:
            raise InvalidSource(f"a path is missing: {name}:PATH")
        return text


def _alone(rest: str) -> str:
    """The rest of the link, which must be one segment without a query string."""
    if "/" in rest:
        raise InvalidSource("nothing may follow an encoded source")
    return _without_query(rest)


def _without_query(rest: str) -> str:
    if "?" in rest:
        raise InvalidSource("only a http(s) source written out has a query string; write ? as %3F")
    return rest


def _from_base64(word: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", word):
        raise InvalidSource("b64: takes base64url without padding")
    try:
        return urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()
    except (Base64Error, UnicodeDecodeError):
        raise InvalidSource("b64: does not decode to UTF-8 text") from None


def _base64(text: str) -> str:
    return "b64:" + urlsafe_b64encode(text.encode()).decode().rstrip("=")
