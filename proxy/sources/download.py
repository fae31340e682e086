"""Originals as they arrive: bounded one by one, and all together."""

from threading import Lock
from types import TracebackType
from typing import Self

from proxy.buffers import Buffer, SharedBufferWriter
from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import Original, OriginMetadata

MAX_INFLIGHT_BYTES = 1024 * 1024 * 1024


class DownloadBudget:
    """Where originals arrive. Many slow sources may not fill the memory together.

    ``most`` is for one original, ``held`` for all that are under way at a time, in bytes.
    """

    def __init__(self, max_bytes: int, max_inflight_bytes: int = MAX_INFLIGHT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._room = max_inflight_bytes
        self._lock = Lock()  # some sources are read on threads

    def start(self) -> "Download":
        return Download(self)

    def reserve(self, size: int) -> None:
        """Raises Overloaded where there is no room left."""
        with self._lock:
            if size > self._room:
                raise Overloaded("too many large originals are under way; try again in a moment")
            self._room -= size

    def release(self, size: int) -> None:
        with self._lock:
            self._room += size


class Download:
    """One original on its way, for as long as the block lasts: counted and written."""

    def __init__(self, arrivals: DownloadBudget) -> None:
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
        self._arrivals.release(self._taken)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._writer.size

    def check_size(self, size: int) -> None:
        """Hear how large it will be. Raises SourceTooLarge."""
        if size > self._arrivals.max_bytes:
            raise SourceTooLarge(f"the original is larger than {self._arrivals.max_bytes} bytes")

    def write(self, chunk: Buffer) -> None:
        """Raises SourceTooLarge, or Overloaded."""
        self.check_size(self.size + len(chunk))
        self._arrivals.reserve(len(chunk))
        self._taken += len(chunk)
        self._writer.write(chunk)

    def finish(self, metadata: OriginMetadata) -> Original:
        """The original; this object is used up."""
        body = self._writer.finish()
        return Original(body, body.digest, metadata)
