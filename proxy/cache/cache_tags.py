"""What our labels are called where CDNs read them: in ``Cache-Tag`` and ``Surrogate-Key``.

A CDN's tag is a word of visible ASCII without commas. Tags of links and sources keep their text; a
source's address becomes a digest, since it may be long and is nobody else's business.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

EVERY = "framekeep"
"""The tag that every answer carries: a purge of everything here is a purge of this one there."""

_TAG = re.compile(r"[!#-+\--~]{1,256}")
_MOST = 2048  # bytes in a header: front servers have buffers of 4 kB for all headers together


@lru_cache(maxsize=65_536)
def tag_of(label: str) -> str:
    """The CDN's word for a label; empty where it cannot be one."""
    kind, _, text = label.partition(":")
    if kind == "tag":
        return text if _TAG.fullmatch(text) else ""
    if kind == "source":
        return "source-" + hashlib.sha256(text.encode()).hexdigest()[:16]
    tag = f"{kind}-{text}"
    return tag if _TAG.fullmatch(tag) else ""


def tags_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The CDN's words for all these labels, each once, as many as a header may hold."""
    chosen, size = [EVERY], len(EVERY)
    for tag in dict.fromkeys(map(tag_of, labels)):
        size += len(tag) + 1
        if tag and size <= _MOST:
            chosen.append(tag)
    return tuple(chosen)
