"""Bodies as files: written aside, moved into place when their row is, never changed afterwards."""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from proxy.buffers import SharedBuffer
from proxy.cache.envelope import Damaged

_INCOMING = "incoming"
_BALLAST = "ballast"
_BALLAST_BYTES = 512 * 1024
_LARGE = 256 * 1024  # from here on a body of its own memory is not copied on its way to the disk
_SETTLED = "[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"


class Files:
    """The files below one folder. Names are relative, with two levels of folders: ``ab/cd/…``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, body: bytes | SharedBuffer) -> None:
        """Write the body aside. OSError leaves nothing behind."""
        path = self._aside(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            _fill(descriptor, body)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(descriptor)

    def settle(self, name: str) -> None:
        """Move a body that was written aside to its place."""
        place = self._place(name)
        try:
            self._aside(name).rename(place)
        except FileNotFoundError:  # nothing lies in its folder yet
            for folder in (place.parent.parent, place.parent):
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
            self._aside(name).rename(place)

    def open(self, name: str) -> int:
        """A descriptor of a settled body. FileNotFoundError when it is gone, else Damaged."""
        try:
            return os.open(self._place(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Damaged("its file is a link") from error
            raise

    def remove(self, name: str) -> None:
        """Remove a body, settled or not. Its folder stays: another body may be about to enter."""
        with contextlib.suppress(OSError, Damaged):
            self._aside(name).unlink(missing_ok=True)
            self._place(name).unlink(missing_ok=True)

    def prepare(self, older_than: float) -> None:
        """Remove what writers left aside that died in the middle, before that epoch second."""
        aside = self._folder / _INCOMING
        with contextlib.suppress(FileExistsError):
            aside.mkdir(mode=0o700)
        for path in aside.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()

    def take_ballast(self) -> None:
        """Keep bytes that can be given back when the disk is too full even to note a removal."""
        path = self._folder / _BALLAST
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _BALLAST_BYTES)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def drop_ballast(self) -> None:
        """Give these bytes back to the disk."""
        (self._folder / _BALLAST).unlink(missing_ok=True)

    def shed(self, wanted: int) -> None:
        """Remove the ballast and so many bytes of any bodies: what is left of them is a miss."""
        self.drop_ballast()
        for path in self._folder.glob(_SETTLED):
            if wanted <= 0:
                break
            with contextlib.suppress(OSError):
                wanted -= path.stat().st_size
                path.unlink()

    def strays(self, known: set[str], older_than: float) -> Iterator[str]:
        """Settled files that are not known, and have been there since before that epoch second."""
        for path in self._folder.glob(_SETTLED):
            name = path.relative_to(self._folder).as_posix()
            if name not in known:
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_ctime < older_than:
                        yield name

    def _place(self, name: str) -> Path:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts:
            raise Damaged("the entry names a file outside the cache")
        return self._folder / path

    def _aside(self, name: str) -> Path:
        return self._folder / _INCOMING / name.replace("/", "-")


def _fill(descriptor: int, body: bytes | SharedBuffer) -> None:
    written = 0
    if isinstance(body, SharedBuffer) and body.size >= _LARGE:
        written = _write_directly(descriptor, body)
    while written < len(body):
        if isinstance(body, bytes):
            step = os.write(descriptor, memoryview(body)[written:])
        else:
            step = os.sendfile(descriptor, body.descriptor, written, body.size - written)
        if not step:
            raise OSError("the body became shorter while it was written")
        written += step


def _write_directly(descriptor: int, body: SharedBuffer) -> int:
    """Write whole pages from where they lie to the disk; how many bytes, 0 where that cannot be.

    A copy in the page cache would cost the time to make it and push finished images out of there,
    while the next who wants the original is seldom near.
    """
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    written, whole = 0, body.size - body.size % mmap.PAGESIZE
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        with mmap.mmap(body.descriptor, whole, access=mmap.ACCESS_READ) as pages:
            while written < whole:
                with memoryview(pages) as view, view[written:] as rest:
                    written += os.write(descriptor, rest)
    except ValueError:
        pass  # the body became shorter; to copy it will show
    except OSError as error:
        if error.errno != errno.EINVAL:  # no such way there, or a step that was cut short
            raise
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return written
