"""Originals in the body of the request."""

import asyncio

from proxy.buffers import SharedBuffer
from proxy.errors import InvalidSource
from proxy.originals import NotModified, Original, OriginalRef, Upload, Validators
from proxy.sources.download import DownloadBudget


class UploadSource:
    def __init__(self, downloads: DownloadBudget) -> None:
        self._downloads = downloads

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        del validators  # the body is in the request anyway
        if not isinstance(ref, Upload):
            raise InvalidSource("upload: the request has no body with an original")
        self._downloads.check_size(len(ref.body))
        return await asyncio.to_thread(_original, ref)


def _original(upload: Upload) -> Original:
    return Original(SharedBuffer.from_bytes(upload.body), upload.digest)
