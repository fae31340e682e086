"""Tags as CDNs see them in response headers such as ``Cache-Tag`` and ``Surrogate-Key``.

A CDN's tag is visible ASCII without commas. Tags of links and sources keep their text. The URL of a
source becomes a digest, because it may be long and must not be published.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

ALL_TAG = "framekeep"
"""The tag of every response: to purge it is to purge all."""

_TAG = re.compile(r"[!#-+\--~]{1,256}")
_MAX_HEADER_BYTES = 2048  # web servers in front often have 4 kB for all headers together

TagHeader = Literal["Cache-Tag", "Surrogate-Key", "CDN-Tag", "Edge-Cache-Tag"]

DEFAULT_TAG_HEADERS: tuple[TagHeader, ...] = ("Cache-Tag", "Surrogate-Key")
"""For Cloudflare and CloudFront; for Fastly and Varnish."""

_SEPARATORS = {"Surrogate-Key": " "}
_MAX_BYTES = {"CDN-Tag": 1024}


@lru_cache(maxsize=65_536)
def cdn_tag(tag: str) -> str:
    """Return the CDN's form of a tag; empty if it has none."""
    kind, _, text = tag.partition(":")
    if kind == "tag":
        return text if _TAG.fullmatch(text) else ""
    if kind == "source":
        return "source-" + hashlib.sha256(text.encode()).hexdigest()[:16]
    name = f"{kind}-{text}"
    return name if _TAG.fullmatch(name) else ""


def cdn_tags(tags: Iterable[str], max_bytes: int = _MAX_HEADER_BYTES) -> tuple[str, ...]:
    """Return the CDN's form of the tags, each once, as many as fit a header."""
    found, size = [ALL_TAG], len(ALL_TAG)
    for tag in dict.fromkeys(map(cdn_tag, tags)):
        size += len(tag) + 1
        if tag and size <= max_bytes:
            found.append(tag)
    return tuple(found)


def tag_headers(names: Sequence[TagHeader], tags: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return the response headers with the tags, each as its CDN reads it."""
    tags = tuple(tags)
    return [
        (
            name.lower().encode(),
            _SEPARATORS.get(name, ",")
            .join(cdn_tags(tags, _MAX_BYTES.get(name, _MAX_HEADER_BYTES)))
            .encode(),
        )
        for name in names
    ]
