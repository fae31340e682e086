"""Memory of one process that another one reads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.render.shared_memory import SharedMemoryRegistry

OWNER = """
import sys
from pathlib import Path
from test_shared_memory import Info, sealed_buffer
from proxy.render.shared_memory import SharedMemoryRegistry
registry, buffer = SharedMemoryRegistry(Path(sys.argv[1]), "thing"), sealed_buffer(b"of the owner")
registry.publish("a", buffer, Info(7))
print("published", flush=True)
for line in sys.stdin:
    if line == "replace\\n":
        del buffer
        buffers = [sealed_buffer(b"something else") for _ in range(3)]
        print("replaced", flush=True)
"""


class Info(Struct, frozen=True):
    number: int


def sealed_buffer(data: bytes) -> SharedBuffer:
    output = OutputBuffer(len(data))
    os.pwrite(output.descriptor, data, 0)
    return output.seal(len(data))


@contextmanager
def owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "published\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_a_buffer_of_another_process_can_be_read_and_outlives_it(tmp_path: Path) -> None:
    with owner(tmp_path):
        found = SharedMemoryRegistry(tmp_path, "thing").open("a", Info)
        assert found is not None
    buffer, info = found
    assert buffer.read() == b"of the owner"
    assert info == Info(7)


def test_a_buffer_that_its_owner_has_closed_is_not_found(tmp_path: Path) -> None:
    registry = SharedMemoryRegistry(tmp_path, "thing")
    assert registry.open("a", Info) is None
    with owner(tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("replace\n")
        process.stdin.flush()
        assert process.stdout.readline() == "replaced\n"
        assert registry.open("a", Info) is None  # another file has its descriptor
    assert registry.open("a", Info) is None  # the owner has exited


def test_a_withdrawn_buffer_is_not_found(tmp_path: Path) -> None:
    registry, buffer = SharedMemoryRegistry(tmp_path, "thing"), sealed_buffer(b"mine")
    registry.publish("a", buffer, Info(1))
    assert registry.open("a", Info) is not None
    registry.withdraw("a")
    registry.withdraw("a")
    assert registry.open("a", Info) is None


def test_a_buffer_that_is_still_writable_is_not_opened(tmp_path: Path) -> None:
    registry, buffer = SharedMemoryRegistry(tmp_path, "thing"), SharedBuffer.from_bytes(b"open")
    registry.publish("a", buffer, Info(1))
    assert registry.open("a", Info) is None


def test_an_invalid_entry_is_ignored(tmp_path: Path) -> None:
    class Other(Struct):
        text: str

    registry, buffer = SharedMemoryRegistry(tmp_path, "thing"), sealed_buffer(b"mine")
    registry.publish("a", buffer, Info(1))
    assert registry.open("a", Other) is None
    (tmp_path / "thing-a").write_bytes(b"\xc1")
    assert registry.open("a", Info) is None


def test_without_a_folder_nothing_is_published(tmp_path: Path) -> None:
    buffer = sealed_buffer(b"mine")
    for registry in (
        SharedMemoryRegistry(None, "thing"),
        SharedMemoryRegistry(tmp_path / "missing", "thing"),
    ):
        registry.publish("a", buffer, Info(1))
        assert registry.open("a", Info) is None
        registry.withdraw("a")
