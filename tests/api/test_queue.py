"""The durable queue."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.api.transform.queue import DurableQueue, DurableQueueFull, ItemGroup, QueueItem


def open_queue(directory: Path, *, max_items: int = 100, max_bytes: int = 10_000) -> DurableQueue:
    return DurableQueue(directory, max_items=max_items, max_bytes=max_bytes)


def claim(queue: DurableQueue, name: str) -> QueueItem:
    item = queue.claim(name)
    assert item is not None
    return item


def names(queue: DurableQueue) -> list[str]:
    return [item.name for item in queue.schedule(100)]


def test_an_item_is_claimed_until_it_is_acknowledged(tmp_path: Path) -> None:
    queue, other = open_queue(tmp_path / "queue"), open_queue(tmp_path / "queue")
    name = queue.put(b"data").name
    item = claim(queue, name)
    assert item.read() == b"data"
    assert names(other) == [name]
    assert other.claim(name) is None
    item.ack()
    assert other.claim(name) is None
    assert names(other) == []


def test_a_released_item_can_be_claimed(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    name = queue.put(b"data").name
    claim(queue, name).release()
    item = claim(queue, name)
    assert item.read() == b"data"
    assert queue.claim(name) is None


def test_the_item_of_a_killed_process_can_be_claimed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from proxy.api.transform.queue import DurableQueue\n"
        "queue = DurableQueue(Path(sys.argv[1]), max_items=9, max_bytes=9)\n"
        "item = queue.claim(queue.put(b'data').name); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    queue = open_queue(tmp_path)
    assert [claim(queue, name).read() for name in names(queue)] == [b"data"]


def test_the_oldest_item_comes_first(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    for number in range(4):
        due = float(number)
        claim(queue, queue.put(b"%d" % number).name).retry_at(due)
    assert [claim(queue, name).read() for name in names(queue)] == [b"0", b"1", b"2", b"3"]
    assert len(queue.schedule(2)) == 2


def test_a_failed_attempt_is_counted_and_its_next_time_is_known_to_all(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    item = claim(queue, queue.put(b"data").name)
    assert item.attempts == 0
    scheduled = item.retry_at(5_000_000_000.0)
    (found,) = open_queue(tmp_path).schedule(10)
    assert found == scheduled
    assert found.due_at == 5_000_000_000.0
    again = claim(queue, found.name)
    assert (again.id, again.attempts, again.read()) == (item.id, 1, b"data")


def test_an_item_that_is_replaced_stays_claimed(tmp_path: Path) -> None:
    queue, other = open_queue(tmp_path, max_bytes=10), open_queue(tmp_path)
    name = queue.put(b"data").name
    item = claim(queue, name)
    item.replace(b"other data")
    assert other.claim(name) is None
    with pytest.raises(DurableQueueFull, match="more than 10 bytes"):
        item.replace(b"more other data")
    item.release()
    assert claim(other, name).read() == b"other data"


def test_items_and_bytes_are_bounded(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_items=2, max_bytes=10)
    first = queue.put(b"12345").name
    with pytest.raises(DurableQueueFull, match="more than 10 bytes"):
        queue.put(b"123456")
    queue.put(b"12345")
    with pytest.raises(DurableQueueFull, match="maximum of 2 items"):
        queue.put(b"")
    claim(queue, first).ack()
    queue.put(b"12345")


def test_what_other_processes_have_stored_is_counted(tmp_path: Path) -> None:
    open_queue(tmp_path).put(b"12345")
    with pytest.raises(DurableQueueFull, match="maximum of 1 items"):
        open_queue(tmp_path, max_items=1).put(b"")


def test_an_item_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_items=1)
    name = queue.put(b"data").name
    claim(queue, name).ack()
    (tmp_path / name).mkdir()  # a file cannot be renamed to a directory
    with pytest.raises(OSError, match="directory"):
        queue.write_file(tmp_path / name, b"data")
    (tmp_path / name).rmdir()
    assert list(tmp_path.iterdir()) == []
    queue.put(b"data")


def test_a_file_that_was_not_finished_is_not_an_item(tmp_path: Path) -> None:
    (tmp_path / ".half").write_bytes(b"da")
    assert names(open_queue(tmp_path)) == []


def test_one_client_has_at_most_half_of_the_queue(tmp_path: Path) -> None:
    queue = open_queue(tmp_path, max_items=4, max_bytes=100)
    greedy = ItemGroup("key 1", "a.example")
    for _ in range(2):
        queue.put(b"1", greedy)
    with pytest.raises(DurableQueueFull, match=r"share of one key .* maximum of 2"):
        queue.put(b"1", greedy)
    name = queue.put(b"1" * 40, ItemGroup("key 2", "a.example")).name
    with pytest.raises(DurableQueueFull, match=r"share of one key .* more than 50 bytes"):
        open_queue(tmp_path, max_bytes=100).put(b"1" * 11, ItemGroup("key 2", "b.example"))
    claim(queue, name).ack()
    queue.put(b"1" * 50, ItemGroup("key 2", "a.example"))


def test_of_each_client_those_are_listed_that_are_due_first(tmp_path: Path) -> None:
    queue = open_queue(tmp_path)
    for number in range(10):
        item = queue.put(b"", ItemGroup("key 1", "a.example"))
        claim(queue, item.name).retry_at(number)
    late = queue.put(b"", ItemGroup("key 2", "a.example"))
    listed = queue.schedule(4)
    assert [item.due_at for item in listed[:2]] == [0, 1]
    assert late.name in [item.name for item in listed]


def test_the_unfinished_file_of_a_killed_process_is_counted_and_swept(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from proxy.api.transform.queue import DurableQueue\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "DurableQueue(Path(sys.argv[1]), max_items=9, max_bytes=99).put(b'data' * 10)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    (unfinished,) = tmp_path.iterdir()
    assert unfinished.name.startswith(".")
    with pytest.raises(DurableQueueFull, match="more than 45 bytes"):
        open_queue(tmp_path, max_bytes=45).put(b"123456")
    assert open_queue(tmp_path).sweep() == 0  # it may be being written
    later = DurableQueue(tmp_path, max_items=9, max_bytes=45, clock=lambda: time.time() + 100)
    with pytest.raises(DurableQueueFull, match="more than 45 bytes"):
        later.put(b"123456")
    with unfinished.open() as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        assert later.sweep() == 0
    assert later.sweep() == 1
    assert list(tmp_path.iterdir()) == []
    later.put(b"x" * 45)


def test_other_users_cannot_read_items(tmp_path: Path) -> None:
    open_queue(tmp_path / "queue").put(b"data")
    (file,) = (tmp_path / "queue").iterdir()
    assert (tmp_path / "queue").stat().st_mode & 0o077 == 0
    assert file.stat().st_mode & 0o077 == 0
