"""Originals in the body of the request."""

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
        self._downloads.check_size(ref.body.size)
        return Original(ref.body, ref.digest)
