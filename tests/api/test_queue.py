"""Work that outlives its worker."""

import subprocess
import sys
from pathlib import Path

import pytest

from proxy.api.transform.queue import DurableQueueFull, DurableQueue


def test_what_is_put_is_ours_until_it_is_done(tmp_path: Path) -> None:
    spool = DurableQueue(tmp_path / "spool")
    piece = spool.put(b"work")
    assert piece.read() == b"work"
    assert list(DurableQueue(tmp_path / "spool").claim()) == []
    piece.ack()
    assert list(spool.claim()) == []


def test_what_is_left_is_taken_up(tmp_path: Path) -> None:
    spool = DurableQueue(tmp_path)
    spool.put(b"work").release()
    (piece,) = spool.claim()
    assert piece.read() == b"work"
    assert list(spool.claim()) == []


def test_what_a_dead_process_had_is_taken_up(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from proxy.api.transform.queue import Spool\n"
        "piece = Spool(Path(sys.argv[1])).put(b'work'); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert dead.returncode == -9
    assert [piece.read() for piece in DurableQueue(tmp_path).claim()] == [b"work"]


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    spool = DurableQueue(tmp_path)
    for at in range(4):
        spool.put(b"%d" % at).release()
    assert [piece.read() for piece in spool.claim()] == [b"0", b"1", b"2", b"3"]


def test_there_is_a_bound(tmp_path: Path) -> None:
    spool = DurableQueue(tmp_path, max_items=2, max_bytes=10)
    spool.put(b"12345")
    with pytest.raises(DurableQueueFull, match="more than 10 bytes"):
        spool.put(b"123456")
    spool.put(b"12345")
    with pytest.raises(DurableQueueFull, match="2 pieces"):
        spool.put(b"")


def test_what_was_never_finished_is_no_work(tmp_path: Path) -> None:
    (tmp_path / ".half").write_bytes(b"ha")
    assert list(DurableQueue(tmp_path).claim()) == []


def test_others_cannot_read_it(tmp_path: Path) -> None:
    DurableQueue(tmp_path / "spool").put(b"work")
    (file,) = (tmp_path / "spool").iterdir()
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    assert file.stat().st_mode & 0o077 == 0
