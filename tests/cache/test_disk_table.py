"""Entries that are put together share a transaction, and none of them costs another."""

import os
from pathlib import Path

import pytest
from cache.suite import body_of

from proxy.buffers import SharedBuffer
from proxy.cache.disk_rows import NewEntry
from proxy.cache.disk_table import DiskTable
from proxy.cache.sqlite import StorageError
from proxy.cache.store import Entry


def entry(key: str, body: bytes = b"body") -> NewEntry:
    return NewEntry(key, Entry(body))


def test_entries_of_one_transaction_are_all_there_and_one_of_a_key_replaces_the_other(
    tmp_path: Path,
) -> None:
    table = DiskTable(tmp_path, "rendition", 10_000_000)
    large = os.urandom(100_000)
    table.put_all([entry("a", b"old"), entry("b", large), entry("a", large[::-1])])
    found = {key: body_of(table.get(key)) for key in "ab"}
    assert found == {"a": large[::-1], "b": large}
    files = [path for path in tmp_path.rglob("*.val") if path.is_file()]
    assert len(files) == 2
    table.close()


def test_large_bodies_share_few_folders(tmp_path: Path) -> None:
    table = DiskTable(tmp_path, "original", 10_000_000)
    table.put_all([entry(str(number), os.urandom(40_000)) for number in range(50)])
    folders = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.val")}
    digits = "0123456789abcdef"
    assert folders <= {f"0{first}/0{second}" for first in digits for second in digits}
    table.close()


def test_an_entry_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    table = DiskTable(tmp_path, "original", 1_000_000)
    path = tmp_path / "body"
    path.write_bytes(os.urandom(100_000))
    cut = SharedBuffer(os.open(path, os.O_RDONLY))
    assert cut.digest
    os.truncate(path, 10)
    too_large = entry("large", bytes(2_000_000))
    with pytest.raises(StorageError, match="shorter"):
        table.put_all(
            [entry("a"), too_large, NewEntry("cut", Entry(cut)), entry("b", bytes(50_000))]
        )
    assert [key for key in ("a", "large", "cut", "b") if table.get(key)] == ["a", "b"]
    table.put_all([entry("b", bytes(50_000)), too_large])
    assert table.get("b") is not None
    assert not list((tmp_path / "staging").iterdir())
    table.close()
