"""Links answered lately, with their answers: what is asked for again and again costs little.

Equal bytes of a link mean equal jobs, so a link need not be read twice; and an answer may be given
again while it says itself that it is still right. Reading the link, looking for what is kept and
writing the headers are four fifths of what a hit costs otherwise (`bench/run --scenario hit`).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct

from proxy.api.http.conditional import not_modified
from proxy.api.http.problems import Headers
from proxy.formats import Name
from proxy.image_request import ImageRequest
from proxy.service import ImageResult

Key = tuple[bytes, tuple[Name, ...]]
"""The link as it came, with its query, and the formats that the asker takes."""

_OVERHEAD = 4096  # bytes that an entry takes beside its body: links, headers, objects
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Head(NamedTuple):
    """The headers of an answer, and how they go over the wire."""

    fields: Headers
    wire: bytes


class Ready(Struct, frozen=True):
    """An answer with its headers, whole and for who has it already; neither says its age."""

    job: ImageRequest
    answer: ImageResult
    still: Callable[[], bool]
    whole: Head
    unchanged: Head
    asked_at: float

    def given(self, asked: Mapping[bytes, bytes]) -> tuple[int, Head, bytes]:
        """Status, headers and body for who asks with these headers, none of them for a part."""
        if not_modified(asked, self.answer.etag, self.answer.last_modified):
            return 304, self.unchanged, b""
        return 200, self.whole, self.answer.rendition.body

    def age(self, now: float) -> bytes:
        """The header ``Age``; ``now`` is in Unix seconds."""
        return b"%d" % max(0.0, now - self.asked_at)

    @property
    def size(self) -> int:
        return len(self.answer.rendition.body) + _OVERHEAD


class Recent:
    """At most so many bytes of answers; the longest unused go first."""

    def __init__(self, budget: int, *, largest: int = 512 * 1024) -> None:
        """``largest``: bytes of an answer; what is larger costs little more the long way."""
        self._budget = budget
        self._largest = min(largest, budget)
        self._ready: OrderedDict[Key, Ready] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> Ready | None:
        ready = self._ready.get(key)
        if ready is not None:
            self._ready.move_to_end(key)
        return ready

    def put(self, key: Key, ready: Ready) -> None:
        self.forget(key)
        if ready.size > self._largest:
            return
        self._ready[key] = ready
        self._bytes += ready.size
        while self._bytes > self._budget:
            self.forget(next(iter(self._ready)))

    def forget(self, key: Key) -> None:
        ready = self._ready.pop(key, None)
        if ready is not None:
            self._bytes -= ready.size


def head(fields: Headers) -> Head:
    return Head(fields, lines(fields))


def lines(fields: Headers) -> bytes:
    """Headers as they go over the wire. Raises ValueError for a value that would end its line."""
    if any(_CONTROL.search(value) for _, value in fields):
        raise ValueError("a header holds control characters")
    return b"".join(b"%b: %b\r\n" % field for field in fields)
