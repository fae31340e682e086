"""Bodies as files: staged first, committed together with their row, never changed afterwards."""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from proxy.buffers import SharedBuffer
from proxy.cache.envelope import CorruptEntry

_STAGING = "staging"
_RESERVE = "reserve"
_RESERVE_BYTES = 512 * 1024
_DIRECT_IO_BYTES = 256 * 1024
_COMMITTED = "[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"


class BodyFiles:
    """The files below one folder. Names are relative, two folders deep: ``ab/cd/…``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stage(self, name: str, body: bytes | SharedBuffer) -> None:
        """Write the body to the staging folder. Raises OSError, and then leaves nothing behind."""
        path = self._staged(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            _write_body(descriptor, body)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(descriptor)

    def commit(self, name: str) -> None:
        """Move a staged body to its final path."""
        path = self._committed(name)
        try:
            self._staged(name).rename(path)
        except FileNotFoundError:  # the first body of its folder
            for folder in (path.parent.parent, path.parent):
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
            self._staged(name).rename(path)

    def open(self, name: str) -> int:
        """Open a committed body and return its descriptor.

        Raises FileNotFoundError if the file is gone, CorruptEntry if it is a link or not in here.
        """
        try:
            return os.open(self._committed(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise CorruptEntry("file is a symbolic link") from error
            raise

    def remove(self, name: str) -> None:
        """Remove a body, staged or committed.

        Its folder stays: another process may be about to commit a body there.
        """
        with contextlib.suppress(OSError, CorruptEntry):
            self._staged(name).unlink(missing_ok=True)
            self._committed(name).unlink(missing_ok=True)

    def prepare(self, older_than: float) -> None:
        """Create the staging folder; remove what dead writers left there before that Unix time."""
        staging = self._folder / _STAGING
        with contextlib.suppress(FileExistsError):
            staging.mkdir(mode=0o700)
        for path in staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()

    def allocate_reserve(self) -> None:
        """Reserve disk space that is released when the disk is too full to record a removal."""
        path = self._folder / _RESERVE
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def release_reserve(self) -> None:
        (self._folder / _RESERVE).unlink(missing_ok=True)

    def free_space(self, size: int) -> None:
        """Remove the reserve and ``size`` bytes of any bodies; their entries become misses."""
        self.release_reserve()
        for path in self._folder.glob(_COMMITTED):
            if size <= 0:
                break
            with contextlib.suppress(OSError):
                size -= path.stat().st_size
                path.unlink()

    def find_orphans(self, known: set[str], older_than: float) -> Iterator[str]:
        """Yield committed files that are not known and are older than that Unix time."""
        for path in self._folder.glob(_COMMITTED):
            name = path.relative_to(self._folder).as_posix()
            if name not in known:
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_ctime < older_than:
                        yield name

    def _committed(self, name: str) -> Path:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts:
            raise CorruptEntry("file name leads out of the cache folder")
        return self._folder / path

    def _staged(self, name: str) -> Path:
        return self._folder / _STAGING / name.replace("/", "-")


def _write_body(descriptor: int, body: bytes | SharedBuffer) -> None:
    done = 0
    if isinstance(body, SharedBuffer) and body.size >= _DIRECT_IO_BYTES:
        done = _write_pages_directly(descriptor, body)
    while done < len(body):
        if isinstance(body, bytes):
            step = os.write(descriptor, memoryview(body)[done:])
        else:
            step = os.sendfile(descriptor, body.descriptor, done, body.size - done)
        if not step:
            raise OSError("body became shorter while it was written")
        done += step


def _write_pages_directly(descriptor: int, body: SharedBuffer) -> int:
    """Write all full pages with O_DIRECT; return the bytes written, 0 where that is not supported.

    Through the page cache the copy would take time and push finished images out of it, while the
    next request for the same original seldom comes soon.
    """
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    done, full_pages = 0, body.size - body.size % mmap.PAGESIZE
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        with mmap.mmap(body.descriptor, full_pages, access=mmap.ACCESS_READ) as pages:
            while done < full_pages:
                with memoryview(pages) as view, view[done:] as rest:
                    done += os.write(descriptor, rest)
    except ValueError:
        pass  # the body became shorter: the copy that follows reports it
    except OSError as error:
        if error.errno != errno.EINVAL:  # not supported here, or a step that ended within a page
            raise
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return done
