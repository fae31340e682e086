"""Originals in a folder that the operator named by an alias.

Rule 1  A path is opened segment by segment from the root's descriptor, never through a symbolic
        link. There is no race between check and open, because no path is checked.
Rule 2  Only regular files. A pipe or a device is opened without blocking, recognized, and closed.
Rule 3  The bytes are copied. A render process maps what it gets: a file that is truncated meanwhile
        would kill it, one that is written to would not match its digest.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Self

from proxy.errors import SourceFailed, SourceForbidden, SourceNotFound
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, OriginMetadata, Validators
from proxy.sources.download import DownloadBudget
from proxy.sources.options import SourceOptions
from proxy.sources.paths import require_alias, split_path
from proxy.sources.source import SourceContext, fetch_timeout

_CHUNK_BYTES = 1024 * 1024
_OPEN_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FileSource:
    """Files below ``root``, read on threads of this source's own.

    A disk that hangs, such as a network share, blocks those threads, not the event loop, and a
    caller no longer than the fetch timeout.
    """

    def __init__(
        self,
        root: Path,
        limits: Limits,
        *,
        threads: int = 4,
        downloads: DownloadBudget | None = None,
    ) -> None:
        self._root = root
        self._timeout_seconds = limits.fetch_timeout_seconds
        self._downloads = downloads or DownloadBudget(limits.max_source_bytes)
        self._loop: asyncio.AbstractEventLoop
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="files")

    @classmethod
    def from_context(cls, context: SourceContext) -> Self:
        if context.options != SourceOptions():
            raise ValueError("alias_options are not for folders")
        root = Path(context.location.removeprefix("file://"))
        if not root.is_absolute():
            raise ValueError("a folder is written file:///absolute/path")
        source = cls(root, context.limits, downloads=context.downloads)
        context.exit_stack.push_async_callback(source.close)
        return source

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        segments = split_path(require_alias(ref).path)
        self._loop = asyncio.get_running_loop()
        await self._downloads.wait_for_room()
        async with fetch_timeout(self._timeout_seconds):
            return await self._loop.run_in_executor(
                self._executor, self._read, segments, validators
            )

    async def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _read(
        self, segments: tuple[str, ...], validators: Validators | None
    ) -> Original | NotModified:
        try:
            with _open_below(self._root, segments) as descriptor:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise SourceForbidden("source is not a regular file")
                if validators is not None and validators.etag == _etag(before):
                    return NotModified(_metadata(before))
                original = self._copy(descriptor, before)
                if _etag(os.fstat(descriptor)) != _etag(before):
                    raise SourceFailed("source file changed while it was read", transient=True)
                return original
        except OSError as error:
            raise _translate_error(error) from error

    def _copy(self, descriptor: int, status: os.stat_result) -> Original:
        with self._downloads.start() as download:
            download.expect_in_thread(status.st_size, self._loop, self._timeout_seconds)
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                download.write(chunk)
            return download.finish(_metadata(status))


@contextmanager
def _open_below(root: Path, segments: tuple[str, ...]) -> Iterator[int]:
    """Open a file below the root; only the path of the root itself may have symbolic links."""
    *folders, name = segments
    descriptor = os.open(root, _OPEN_FOLDER)
    try:
        for segment, flags in (
            *((folder, _OPEN_FOLDER | os.O_NOFOLLOW) for folder in folders),
            (name, _OPEN_FILE),
        ):
            parent = descriptor
            descriptor = os.open(segment, flags, dir_fd=parent)
            os.close(parent)
        yield descriptor
    finally:
        os.close(descriptor)


def _etag(status: os.stat_result) -> str:
    # With the change time: a copy can preserve both the size and the modification time.
    return f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"'


def _metadata(status: os.stat_result) -> OriginMetadata:
    last_modified = formatdate(max(status.st_mtime, 0), usegmt=True)
    return OriginMetadata(Validators(etag=_etag(status), last_modified=last_modified))


def _translate_error(error: OSError) -> SourceNotFound | SourceForbidden | SourceFailed:
    reason = error.strerror or str(error)
    detail = f"{error.filename}: {reason}" if error.filename else reason
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:  # ENOTDIR also for a symbolic link in place of a folder
            return SourceNotFound(
                "source file not found (symbolic links are not followed)", detail=detail
            )
        case errno.ELOOP | errno.ENXIO:  # a symbolic link, a socket
            return SourceForbidden("source is not a regular file", detail=detail)
        case errno.EACCES | errno.EPERM:
            return SourceForbidden("source file not readable: permission denied", detail=detail)
        case _:
            return SourceFailed("source file could not be read", detail=detail)
