"""The source at the end of a link: four encodings of one normalized text."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from urllib.parse import quote

from proxy.errors import InvalidSource
from proxy.links.percent_encoding import percent_decode, safe_excerpt
from proxy.text_values import did_you_mean

_HTTP_URL = re.compile(r"(https?)://(.+)", re.IGNORECASE | re.DOTALL)
_PLAIN_URL = re.compile(r"https?:/", re.IGNORECASE)

# A plain URL survives browsers, proxies and CDNs only without dot segments, which clients resolve,
# empty segments, which proxies merge, an empty query, whose question mark gets lost, and a comma at
# the end, which belongs to the list where the link stands in a srcset.
_SAFE_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_FRAGILE = re.compile(r"//|/(?:\.|%2e){1,2}(?:[/?]|$)|/https?:/|^/|^$|[?,]$", re.IGNORECASE)


class SourceEncoder:
    """Encodes and decodes the source of a link; ``aliases`` are those that the operator set up."""

    def __init__(self, aliases: Collection[str]) -> None:
        self._aliases = frozenset(aliases)

    def decode(self, segment: str, rest: str) -> str:
        """Decode the source if it begins at this segment; an empty text if the segment is a step.

        ``rest`` is the link from this segment to its end. Raises InvalidSource.
        """
        if _PLAIN_URL.match(rest):
            return self.normalize(rest)
        head, colon, _ = segment.partition(":")
        name = percent_decode(head)
        if name == "b64" and colon:
            return self.normalize(_decode_base64(_only_segment(rest).removeprefix(f"{head}:")))
        if name in self._aliases:
            path = percent_decode(_without_query(rest)[len(head) + 1 :]) if colon else ""
            return self.normalize(f"{name}:{path}")
        if not colon and ":" in name:
            return self.normalize(percent_decode(_only_segment(rest)))
        return ""

    def encode(self, text: str) -> str:
        """Encode a normalized source so that no client, proxy or CDN changes it.

        Raises InvalidSource for a text that no link decodes to.
        """
        if text != self.normalize(text):
            raise InvalidSource("source scheme must be lower case")
        url = _HTTP_URL.fullmatch(text)
        if url:
            plain = _SAFE_CHARACTERS.fullmatch(text) and not _FRAGILE.search(url[2])
            return text if plain else _encode_base64(text)
        alias, _, path = text.partition(":")
        return _encode_base64(text) if _FRAGILE.search(path) else f"{alias}:{quote(path, safe='/')}"

    def normalize(self, text: str) -> str:
        """The one form that equal sources share. Raises InvalidSource for what is not a source."""
        if url := _HTTP_URL.fullmatch(text):
            return f"{url[1].lower()}://{url[2]}"
        alias, _, path = text.partition(":")
        if alias not in self._aliases:
            raise InvalidSource(
                f"invalid source {safe_excerpt(text)}: write an http(s):// URL (plain, "
                "percent-encoded or as b64:…), or ALIAS:path with one of the aliases: "
                f"{', '.join(sorted(self._aliases)) or 'none'} (FRAMEKEEP_SOURCES_ALIASES)"
                f"{did_you_mean(alias, self._aliases)}"
            )
        if not path:
            raise InvalidSource(f"source path missing: write {alias}:path")
        return text


def _only_segment(rest: str) -> str:
    """The rest of the link, which must be a single segment without a query string."""
    if "/" in rest:
        raise InvalidSource("unexpected path segment after an encoded source")
    return _without_query(rest)


def _without_query(rest: str) -> str:
    if "?" in rest:
        raise InvalidSource(
            "unexpected query string: only a plain http(s):// source has one; write ? as %3F"
        )
    return rest


def _decode_base64(encoded: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", encoded):
        raise InvalidSource("b64: must be base64url without padding")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (Base64Error, UnicodeDecodeError):
        raise InvalidSource("b64: does not decode to UTF-8 text") from None


def _encode_base64(text: str) -> str:
    return "b64:" + urlsafe_b64encode(text.encode()).decode().rstrip("=")
