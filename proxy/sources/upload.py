"""Originals that came with the request."""

import asyncio

from proxy.buffers import SharedBuffer
from proxy.errors import InvalidSource, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, Upload, Validators


class UploadSource:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        del validators  # a body that was sent is never an old one
        if not isinstance(reference, Upload):
            raise InvalidSource("an address has no body")
        if len(reference.body) > self._limits.max_source_bytes:
            raise SourceTooLarge(f"the original is larger than {self._limits.max_source_bytes} bytes")
        return await asyncio.to_thread(_original, reference)


def _original(upload: Upload) -> Original:
    return Original(SharedBuffer.of(upload.body), upload.digest)
