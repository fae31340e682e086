"""The durable queue."""

import subprocess
import sys
from pathlib import Path

import pytest

from proxy.api.transform.queue import DurableQueue, DurableQueueFull


def test_an_item_is_claimed_until_it_is_acknowledged(tmp_path: Path) -> None:
    queue = DurableQueue(tmp_path / "queue")
    item = queue.put(b"data")
    assert item.read() == b"data"
    assert list(DurableQueue(tmp_path / "queue").claim()) == []
    item.ack()
    assert list(queue.claim()) == []


def test_a_released_item_can_be_claimed(tmp_path: Path) -> None:
    queue = DurableQueue(tmp_path)
    queue.put(b"data").release()
    (item,) = queue.claim()
    assert item.read() == b"data"
    assert list(queue.claim()) == []


def test_the_item_of_a_killed_process_can_be_claimed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from proxy.api.transform.queue import DurableQueue\n"
        "item = DurableQueue(Path(sys.argv[1])).put(b'data'); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert [item.read() for item in DurableQueue(tmp_path).claim()] == [b"data"]


def test_the_oldest_item_comes_first(tmp_path: Path) -> None:
    queue = DurableQueue(tmp_path)
    for number in range(4):
        queue.put(b"%d" % number).release()
    assert [item.read() for item in queue.claim()] == [b"0", b"1", b"2", b"3"]


def test_items_and_bytes_are_bounded(tmp_path: Path) -> None:
    queue = DurableQueue(tmp_path, max_items=2, max_bytes=10)
    queue.put(b"12345")
    with pytest.raises(DurableQueueFull, match="more than 10 bytes"):
        queue.put(b"123456")
    queue.put(b"12345")
    with pytest.raises(DurableQueueFull, match="maximum of 2 items"):
        queue.put(b"")


def test_a_file_that_was_not_finished_is_not_an_item(tmp_path: Path) -> None:
    (tmp_path / ".half").write_bytes(b"da")
    assert list(DurableQueue(tmp_path).claim()) == []


def test_other_users_cannot_read_items(tmp_path: Path) -> None:
    DurableQueue(tmp_path / "queue").put(b"data")
    (file,) = (tmp_path / "queue").iterdir()
    assert (tmp_path / "queue").stat().st_mode & 0o077 == 0
    assert file.stat().st_mode & 0o077 == 0
