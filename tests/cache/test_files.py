"""Bodies as files, on disks of several kinds."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.buffers import SharedBuffer
from proxy.cache.files import BodyFiles

PAGE = mmap.PAGESIZE
LARGE = 1024 * 1024
NAME = "ab/cd/ef.val"


@pytest.fixture(params=["on disk", "in memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder where files may be written past the page cache, and one where perhaps not."""
    if request.param == "on disk":
        yield tmp_path
    else:
        with TemporaryDirectory(dir="/dev/shm") as folder:
            yield Path(folder)


@pytest.fixture
def files(folder: Path) -> BodyFiles:
    files = BodyFiles(folder)
    files.prepare(older_than=0)
    return files


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, LARGE + PAGE - 1])
def test_a_body_is_stored_byte_for_byte(files: BodyFiles, folder: Path, size: int) -> None:
    body = os.urandom(size)
    files.stage(NAME, SharedBuffer.from_bytes(body))
    files.commit(NAME)
    assert (folder / NAME).read_bytes() == body


def test_a_large_body_is_not_copied_to_the_page_cache(tmp_path: Path) -> None:
    files = BodyFiles(tmp_path)
    files.prepare(older_than=0)
    body = SharedBuffer.from_bytes(os.urandom(LARGE + 1))
    files.stage(NAME, body)
    files.commit(NAME)
    assert is_in_page_cache(tmp_path / NAME) == is_in_page_cache(
        written_directly(tmp_path / "probe", body)
    )


def test_a_body_that_becomes_shorter_is_not_stored(files: BodyFiles, folder: Path) -> None:
    body = SharedBuffer.from_bytes(os.urandom(LARGE + 1))
    body.size += PAGE  # as if it had been cut since it was opened
    with pytest.raises(OSError, match="shorter"):
        files.stage(NAME, body)
    assert not any((folder / "staging").iterdir())


def written_directly(path: Path, body: SharedBuffer) -> Path:
    """A file that was written as directly as this disk allows."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    except OSError:
        path.write_bytes(body.read())
        return path
    with mmap.mmap(body.descriptor, LARGE, access=mmap.ACCESS_READ) as pages:
        os.write(descriptor, pages)
    os.close(descriptor)
    return path


def is_in_page_cache(path: Path) -> bool:
    """Whether the beginning of the file can be read without waiting for the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(descriptor, [bytearray(PAGE)], 0, os.RWF_NOWAIT) == PAGE
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
