"""Tags as CDNs see them in the response headers ``Cache-Tag`` and ``Surrogate-Key``.

A CDN's tag is visible ASCII without commas. Tags of links and sources keep their text. The URL of a
source becomes a digest, because it may be long and must not be published.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

ALL_TAG = "framekeep"
"""The tag of every response: to purge it is to purge all."""

_TAG = re.compile(r"[!#-+\--~]{1,256}")
_MAX_HEADER_BYTES = 2048  # web servers in front often have 4 kB for all headers together


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


def cdn_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the CDN's form of the tags, each once, as many as fit a header."""
    found, size = [ALL_TAG], len(ALL_TAG)
    for tag in dict.fromkeys(map(cdn_tag, tags)):
        size += len(tag) + 1
        if tag and size <= _MAX_HEADER_BYTES:
            found.append(tag)
    return tuple(found)
