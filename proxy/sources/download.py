"""Downloads of originals, limited one by one and all together."""

from threading import Lock
from types import TracebackType
from typing import Self

from proxy.buffers import Buffer, SharedBufferWriter
from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import Original, OriginMetadata

MAX_INFLIGHT_BYTES = 1024 * 1024 * 1024


class DownloadBudget:
    """Memory for downloads in flight, so that many slow sources cannot fill it together.

    ``max_bytes`` is for one original, ``max_inflight_bytes`` for all downloads at a time.
    """

    def __init__(self, max_bytes: int, max_inflight_bytes: int = MAX_INFLIGHT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._free_bytes = max_inflight_bytes
        self._lock = Lock()  # some sources read on threads

    def start(self) -> "Download":
        return Download(self)

    def check_size(self, size: int) -> None:
        """Raise SourceTooLarge for an original of more bytes than one may have."""
        if size > self._max_bytes:
            raise SourceTooLarge(
                f"original too large: larger than {self._max_bytes} bytes "
                "(FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES)"
            )

    def reserve(self, size: int) -> None:
        """Raise Overloaded unless as many bytes are free."""
        with self._lock:
            if size > self._free_bytes:
                raise Overloaded(
                    "download memory exhausted: too many large originals in flight; try again "
                    "(FRAMEKEEP_SOURCES_MAX_INFLIGHT_BYTES)"
                )
            self._free_bytes -= size

    def release(self, size: int) -> None:
        with self._lock:
            self._free_bytes += size


class Download:
    """One original being downloaded; its memory is reserved until the block ends."""

    def __init__(self, budget: DownloadBudget) -> None:
        self._budget = budget
        self._writer = SharedBufferWriter()
        self._reserved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._budget.release(self._reserved)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    def check_size(self, size: int) -> None:
        """Check the size that a source announces. Raises SourceTooLarge."""
        self._budget.check_size(size)

    def write(self, chunk: Buffer) -> None:
        """Raise SourceTooLarge or Overloaded if the chunk exceeds a limit."""
        self.check_size(self.size + len(chunk))
        self._budget.reserve(len(chunk))
        self._reserved += len(chunk)
        self._writer.write(chunk)

    def finish(self, metadata: OriginMetadata) -> Original:
        """Complete the original. Nothing can be written after it."""
        body = self._writer.finish()
        return Original(body, body.digest, metadata)
