"""Originals that came with the request."""

import asyncio

from proxy.buffers import Blob
from proxy.errors import BadSource, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import Original, Reference, Unchanged, Upload, Validators


class InlineSource:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def fetch(
        self, reference: Reference, validators: Validators | None = None
    ) -> Original | Unchanged:
        del validators  # a body that was sent is never an old one
        if not isinstance(reference, Upload):
            raise BadSource("an address has no body")
        if len(reference.body) > self._limits.source_bytes:
            raise SourceTooLarge(f"the original is larger than {self._limits.source_bytes} bytes")
        return await asyncio.to_thread(_original, reference)


def _original(upload: Upload) -> Original:
    return Original(Blob.of(upload.body), upload.digest)
