"""Memory of one process that another one reads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct
from render_processes import closed_gate

from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.render.shared_memory import SharedMemoryRegistry

pytestmark = pytest.mark.anyio

OWNER = """
import asyncio, sys
from pathlib import Path
from test_shared_memory import Info, sealed_buffer
from proxy.render.shared_memory import SharedMemoryRegistry
async def main():
    registry = SharedMemoryRegistry(Path(sys.argv[1]), "thing")
    registry.publish("a", sealed_buffer(b"of the owner"), Info(7))
    print("published", flush=True)
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
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
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "published\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


async def test_a_buffer_of_another_process_can_be_read_and_outlives_it(tmp_path: Path) -> None:
    with owner(tmp_path):
        found = await SharedMemoryRegistry(tmp_path, "thing").open("a", Info)
        assert found is not None
    buffer, info = found
    assert buffer.read() == b"of the owner"
    assert info == Info(7)
    assert not os.get_inheritable(buffer.descriptor)


async def test_a_buffer_whose_owner_has_exited_is_not_found(tmp_path: Path) -> None:
    registry = SharedMemoryRegistry(tmp_path, "thing")
    assert await registry.open("a", Info) is None
    with owner(tmp_path):
        pass
    assert (tmp_path / "thing-a").exists()
    assert await registry.open("a", Info) is None


async def test_a_withdrawn_buffer_is_not_found(tmp_path: Path) -> None:
    registry = SharedMemoryRegistry(tmp_path, "thing")
    registry.publish("a", sealed_buffer(b"mine"), Info(1))
    assert await registry.open("a", Info) is not None
    entry = (tmp_path / "thing-a").read_bytes()
    registry.withdraw("a")
    registry.withdraw("a")
    assert await registry.open("a", Info) is None
    (tmp_path / "thing-a").write_bytes(entry)  # read a moment before
    assert await registry.open("a", Info) is None
    registry.close()


async def test_a_buffer_that_is_still_writable_is_not_opened(tmp_path: Path) -> None:
    registry = SharedMemoryRegistry(tmp_path, "thing")
    registry.publish("a", closed_gate(), Info(1))
    assert await registry.open("a", Info) is None
    registry.close()


async def test_an_invalid_entry_is_ignored(tmp_path: Path) -> None:
    class Other(Struct):
        text: str

    registry = SharedMemoryRegistry(tmp_path, "thing")
    registry.publish("a", sealed_buffer(b"mine"), Info(1))
    assert await registry.open("a", Other) is None
    (tmp_path / "thing-a").write_bytes(b"\xc1")
    assert await registry.open("a", Info) is None
    registry.close()


async def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    registry = SharedMemoryRegistry(tmp_path, "thing")
    registry.publish("a", sealed_buffer(b"mine"), Info(1))
    registry.close()
    assert list(tmp_path.iterdir()) == []


async def test_without_a_folder_nothing_is_published(tmp_path: Path) -> None:
    for registry in (
        SharedMemoryRegistry(None, "thing"),
        SharedMemoryRegistry(tmp_path / "missing", "thing"),
    ):
        registry.publish("a", sealed_buffer(b"mine"), Info(1))
        assert await registry.open("a", Info) is None
        registry.withdraw("a")
        registry.close()
