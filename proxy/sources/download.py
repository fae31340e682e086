"""Originals as they arrive: bounded one by one, and all together."""

from threading import Lock
from types import TracebackType
from typing import Self

from proxy.buffers import Buffer, SharedBufferWriter
from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import Original, OriginMetadata

HELD_BYTES = 1024 * 1024 * 1024


class Arrivals:
    """Where originals arrive. Many slow sources may not fill the memory together.

    ``most`` is for one original, ``held`` for all that are under way at a time, in bytes.
    """

    def __init__(self, most: int, held: int = HELD_BYTES) -> None:
        self.most = most
        self._room = held
        self._lock = Lock()  # some sources are read on threads

    def begin(self) -> "Arrival":
        return Arrival(self)

    def take(self, size: int) -> None:
        """Raises Overloaded where there is no room left."""
        with self._lock:
            if size > self._room:
                raise Overloaded("too many large originals are under way; try again in a moment")
            self._room -= size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._room += size


class Arrival:
    """One original on its way, for as long as the block lasts: counted and written."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._writer = SharedBufferWriter()
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._arrivals.give_back(self._taken)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._writer.size

    def expect(self, size: int) -> None:
        """Hear how large it will be. Raises SourceTooLarge."""
        if size > self._arrivals.most:
            raise SourceTooLarge(f"the original is larger than {self._arrivals.most} bytes")

    def write(self, chunk: Buffer) -> None:
        """Raises SourceTooLarge, or Overloaded."""
        self.expect(self.size + len(chunk))
        self._arrivals.take(len(chunk))
        self._taken += len(chunk)
        self._writer.write(chunk)

    def finish(self, facts: OriginMetadata) -> Original:
        """The original; this object is used up."""
        body = self._writer.finish()
        return Original(body, body.digest, facts)
