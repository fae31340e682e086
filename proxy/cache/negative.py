"""Originals of which nothing can be made, remembered for seconds: nobody has to find out again.

A refusal is of the bytes and of what was asked of them, so it holds whatever the source or the link
is called, and ends with the bytes. Only what bytes and wish decide is remembered: never that
something took too long, broke down, or had to wait. Each process remembers its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from proxy.errors import ImageError
from proxy.originals import digest
from proxy.telemetry.metrics import tell

MOST = 4096
"""Refusals that a process remembers; of more, the oldest are forgotten."""


class _Refusal(Struct, frozen=True):
    """What was said, without the traceback that would keep a picture alive."""

    kind: type[ImageError]
    sentence: str
    detail: str
    until: float


class Refusals:
    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        """Each is believed for so many seconds; ``clock`` is in seconds too."""
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[str, _Refusal] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    @contextmanager
    def believed(self, wish: str, originals: Iterable[str]) -> Iterator[None]:
        """Do what is inside unless it was refused just now; a refusal inside is remembered.

        ``originals`` are the digests of all that the wish takes. Raises an ImageError.
        """
        key = digest(wish.encode(), *(original.encode() for original in originals))
        known = self._known.get(key)
        if known is not None and self._clock() < known.until:
            tell("refusal", "hit")
            raise known.kind(known.sentence, detail=known.detail)
        try:
            yield
        except ImageError as error:
            until = self._clock() + self._seconds
            self._known[key] = _Refusal(type(error), str(error), error.detail, until)
            self._known.move_to_end(key)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
            raise
