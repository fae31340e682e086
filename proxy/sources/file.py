"""Originals in a folder that the operator named.

Rule 1  A path is walked part by part from the root's descriptor, never through a symbolic link: no
        race between a check and an opening, since there is no check of a path.
Rule 2  Only regular files. A pipe or a device is opened without waiting, looked at, and closed.
Rule 3  The bytes are copied. A renderer maps what it is given: a file that someone cuts short
        meanwhile would kill it, one that is written to would not have the digest we gave.
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

from proxy.errors import (
    InvalidSource,
    SourceFailed,
    SourceForbidden,
    SourceNotFound,
    SourceTimedOut,
)
from proxy.limits import Limits
from proxy.originals import (
    NotModified,
    Original,
    OriginalRef,
    OriginMetadata,
    SourceRef,
    Validators,
)
from proxy.sources.download import DownloadBudget
from proxy.sources.paths import split_path

_CHUNK = 1024 * 1024
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FileSource:
    """Files below ``root``, read on threads of this source's own.

    A disk that hangs (a network share may) holds those threads, not the loop, and not the caller
    beyond the deadline.
    """

    def __init__(
        self, root: Path, limits: Limits, *, threads: int = 4, arrivals: DownloadBudget | None = None
    ) -> None:
        self._root = root
        self._limits = limits
        self._arrivals = arrivals or DownloadBudget(limits.max_source_bytes)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="files")

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        if not isinstance(reference, SourceRef) or reference.headers:
            raise InvalidSource("a file takes no body and no headers")
        parts = split_path(reference.text.partition(":")[2])
        seconds = self._limits.fetch_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._read, parts, validators
                )
        except TimeoutError as error:
            raise SourceTimedOut(f"the source took longer than {seconds:g} seconds") from error

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(
        self, parts: tuple[str, ...], validators: Validators | None
    ) -> Original | NotModified:
        try:
            with _opened(self._root, parts) as descriptor:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise SourceForbidden("the source is not a regular file")
                if validators is not None and validators.etag == _etag(before):
                    return NotModified(_facts(before))
                original = self._copy(descriptor, before)
                if _etag(os.fstat(descriptor)) != _etag(before):
                    raise SourceFailed("the file changed while it was read", transient=True)
                return original
        except OSError as error:
            raise _translated(error) from error

    def _copy(self, descriptor: int, status: os.stat_result) -> Original:
        with self._arrivals.start() as arrival:
            arrival.check_size(status.st_size)
            while chunk := os.read(descriptor, _CHUNK):
                arrival.write(chunk)
            return arrival.finish(_facts(status))


@contextmanager
def _opened(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of the file; where the root itself lies is the operator's to say."""
    *folders, name = parts
    descriptor = os.open(root, _FOLDER)
    try:
        for step, flags in (
            *((folder, _FOLDER | os.O_NOFOLLOW) for folder in folders),
            (name, _FILE),
        ):
            above = descriptor
            descriptor = os.open(step, flags, dir_fd=above)
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)


def _etag(status: os.stat_result) -> str:
    # The time of the last change of any kind, too: a copy may keep both size and time of writing.
    return f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"'


def _facts(status: os.stat_result) -> OriginMetadata:
    last_modified = formatdate(max(status.st_mtime, 0), usegmt=True)
    return OriginMetadata(Validators(etag=_etag(status), last_modified=last_modified))


def _translated(error: OSError) -> SourceNotFound | SourceForbidden | SourceFailed:
    detail = str(error)
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:  # the latter also for a link where a folder should be
            return SourceNotFound("there is no such file; links are not followed", detail=detail)
        case errno.ELOOP | errno.ENXIO:  # a link, a socket
            return SourceForbidden("the source is not a regular file", detail=detail)
        case errno.EACCES | errno.EPERM:
            return SourceForbidden("the server may not read this file", detail=detail)
        case _:
            return SourceFailed("the file could not be read", detail=detail)
