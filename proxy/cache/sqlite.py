"""The SQLite database of one kind: entries, tags, recent purges, and eviction priorities.

diskcache creates the file with its tables ``Cache`` and ``Settings``, whose triggers count entries
and bytes. We add tables and columns, and execute our own statements. Three rules:

1. diskcache serializes nothing: it unpickles whatever is in its database (CVE-2025-69872).
2. Nothing is read through a memory mapping: a truncated file must be an error, not a SIGBUS.
3. What sqlite3, diskcache or the file system raise becomes a StorageError.
"""

import contextlib
import errno
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from proxy.cache.store import All, ByTag, ByTagPrefix, Selector
from proxy.compat.diskcache import DATABASE_NAME, CacheDatabase

Sql = Callable[..., sqlite3.Cursor]
"""Execute one statement; the caller holds the transaction."""

_SCHEMA_VERSION = 2

BUSY_SECONDS = 2.0  # a write that waits longer for another writer is better not done
_SHM_BYTES = 32 * 1024  # index of the write-ahead log: one page, because the log is kept short
_PURGE_LOG_SECONDS = 3600.0  # no work on an entry takes longer


class StorageError(Exception):
    """The disk or the index failed.

    ``corrupt``: the index must be rebuilt. ``disk_full``: there is no space left.
    """

    def __init__(self, message: str, *, corrupt: bool = False, disk_full: bool = False) -> None:
        super().__init__(message)
        self.corrupt = corrupt
        self.disk_full = disk_full


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Raise errors of sqlite3 and of the operating system as StorageError."""
    try:
        yield
    except sqlite3.Error as error:
        extended = getattr(error, "sqlite_errorcode", 0)
        code = extended & 0xFF
        # Our statements are right, so SQLITE_ERROR means that the schema is wrong: "no such table".
        corrupt = code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
        corrupt = corrupt or extended == sqlite3.SQLITE_IOERR_SHORT_READ  # a truncated log
        disk_full = code == sqlite3.SQLITE_FULL
        raise StorageError(str(error), corrupt=corrupt, disk_full=disk_full) from error
    except OSError as error:
        disk_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise StorageError(error.strerror or str(error), disk_full=disk_full) from error


class Database(CacheDatabase):
    """One open database. Each thread has its own connection."""

    def __init__(self, folder: Path) -> None:
        """Open the database in the folder, or create both. Raises StorageError."""
        path = database_path(folder)
        self._wal = path.with_name(f"{path.name}-wal")
        self._shm = path.with_name(f"{path.name}-shm")
        with translate_errors():
            folder.mkdir(mode=0o700, exist_ok=True)
        try:
            with translate_errors():
                super().__init__(folder, busy_seconds=BUSY_SECONDS)
                with self.transaction() as sql:
                    _create_tables(sql)
                self.inode = self._path.stat().st_ino
                self._log_inodes = inode(self._wal), inode(self._shm)
        except StorageError:
            self.close()
            raise
        except (TypeError, ValueError, AttributeError) as error:
            self.close()  # diskcache read settings from the database that it never wrote
            raise StorageError(f"index has wrong settings: {error}", corrupt=True) from error

    @property
    def sql(self) -> Sql:
        """Executes one statement on the calling thread's connection."""
        return self.connection.execute

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Sql]:
        """A write transaction. diskcache's own does not roll back if a full disk fails a commit."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection.execute
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def is_in_place(self) -> bool:
        """Whether the paths still lead to this database and its log."""
        self._extend_shm()
        logs = inode(self._wal), inode(self._shm)
        return self.inode == inode(self._path) and self._log_inodes == logs

    def _extend_shm(self) -> None:
        # SQLite always maps this file. If something truncated it, the next access would be a
        # SIGBUS. Zeros in its place make SQLite read the log again.
        with contextlib.suppress(OSError):
            if self._shm.stat().st_size < _SHM_BYTES:
                os.truncate(self._shm, _SHM_BYTES)


def database_path(folder: Path) -> Path:
    return folder / DATABASE_NAME


def inode(path: Path) -> int | None:
    """The number that identifies the file now at this path; None if there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


_COLUMNS = ("soft_purged_at", "priority", "cost_per_byte")
_TABLES = """
CREATE INDEX Cache_priority ON Cache(priority, access_time)

CREATE TABLE Tag (id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE)

CREATE TABLE EntryTag
    (tag INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (tag, entry)) WITHOUT ROWID

CREATE INDEX EntryTag_entry ON EntryTag(entry)

CREATE TABLE Purge (at REAL, soft INTEGER, lower BLOB, upper BLOB)

INSERT INTO Settings VALUES ('eviction_clock', 0.0), ('all_soft_purged_at', 0.0)

CREATE TRIGGER Cache_tags AFTER DELETE ON Cache FOR EACH ROW BEGIN
    DELETE FROM EntryTag WHERE entry = OLD.rowid;
END

CREATE TRIGGER EntryTag_tags AFTER DELETE ON EntryTag FOR EACH ROW BEGIN
    DELETE FROM Tag
    WHERE id = OLD.tag AND NOT EXISTS (SELECT 1 FROM EntryTag WHERE tag = OLD.tag);
END
"""


def _create_tables(sql: Sql) -> None:
    """Add our tables to a new database. Raises StorageError for one of another version."""
    ((version,),) = sql("PRAGMA user_version").fetchall()
    if version == _SCHEMA_VERSION:
        return
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if version or {name for (name,) in sql(query)} != {"Cache", "Settings"}:
        raise StorageError(
            f"index has schema version {version} instead of {_SCHEMA_VERSION}", corrupt=True
        )
    for name in _COLUMNS:
        sql(f"ALTER TABLE Cache ADD COLUMN {name} REAL DEFAULT 0.0")
    for statement in _TABLES.split("\n\n"):
        sql(statement)
    sql(f"PRAGMA user_version = {_SCHEMA_VERSION}")


class Columns(NamedTuple):
    """How an entry is laid out in its row; the body follows in ``value``, or lies in the file."""

    size: int
    mode: int
    filename: str | None
    value: bytes


def upsert(
    sql: Sql, key: str, columns: Columns, *, now: float, soft_purged_at: float, cost: float
) -> int:
    """Write the row in place of the one under this key; return its row id."""
    cursor = sql(
        "INSERT INTO Cache(key, raw, store_time, access_time, soft_purged_at, size, mode, filename,"
        " value, cost_per_byte, priority) VALUES (:key, 1, :now, :now, :soft_purged_at, :size,"
        " :mode, :filename, :value, :cost_per_byte,"
        " :cost_per_byte + (SELECT value FROM Settings WHERE key = 'eviction_clock'))"
        " ON CONFLICT(key, raw) DO UPDATE SET store_time = excluded.store_time,"
        " access_time = excluded.access_time, soft_purged_at = excluded.soft_purged_at,"
        " size = excluded.size, mode = excluded.mode, filename = excluded.filename,"
        " value = excluded.value, cost_per_byte = excluded.cost_per_byte,"
        " priority = excluded.priority RETURNING rowid",
        {
            "key": key,
            "now": now,
            "soft_purged_at": soft_purged_at,
            "size": columns.size,
            "mode": columns.mode,
            "filename": columns.filename,
            "value": columns.value,
            "cost_per_byte": cost_per_byte(cost, columns.size),
        },
    )
    ((rowid,),) = cursor.fetchall()
    return int(rowid)


class TagRange(NamedTuple):
    """Tags from ``lower`` up to, but without, ``upper``; without an end if that is None.

    One tag, a prefix and all tags are ranges, so that one statement serves every purge.
    """

    lower: bytes
    upper: bytes | None

    @property
    def bounds(self) -> tuple[str, tuple[bytes, ...]]:
        """A condition on ``Tag.text``, and its values."""
        if self.upper is None:
            return "text >= ?", (self.lower,)
        return "text >= ? AND text < ?", (self.lower, self.upper)

    def contains(self, text: bytes) -> bool:
        return self.lower <= text and (self.upper is None or text < self.upper)


ALL_TAGS = TagRange(b"", None)


def tag_range(selector: Selector) -> TagRange:
    match selector:
        case All():
            return ALL_TAGS
        case ByTag(tag):
            return TagRange(tag.encode(), tag.encode() + b"\0")
        case ByTagPrefix(prefix):
            return TagRange(prefix.encode(), _successor(prefix.encode()))


def _successor(prefix: bytes) -> bytes | None:
    """Return the first text after all that start with the prefix; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def tags_in(sql: Sql, tags: TagRange, limit: int) -> list[str]:
    condition, values = tags.bounds
    found = sql(f"SELECT text FROM Tag WHERE {condition} LIMIT ?", (*values, limit))
    return [text.decode(errors="replace") for (text,) in found.fetchall()]


def entries_tagged(sql: Sql, tags: TagRange) -> list[int]:
    """Return the row ids of the entries with a tag in the range, or of all for ALL_TAGS."""
    if tags == ALL_TAGS:
        return [rowid for (rowid,) in sql("SELECT rowid FROM Cache")]
    condition, values = tags.bounds
    ids = f"SELECT id FROM Tag WHERE {condition}"
    query = f"SELECT DISTINCT entry FROM EntryTag WHERE tag IN ({ids})"
    return [rowid for (rowid,) in sql(query, values)]


def set_tags(sql: Sql, entry: int, tags: Iterable[str]) -> bool:
    """Give the entry exactly these tags; return whether that changed anything."""
    query = "SELECT text FROM EntryTag JOIN Tag ON id = tag WHERE entry = ?"
    before = {text for (text,) in sql(query, (entry,))}
    after = {tag.encode() for tag in tags}
    for text in after - before:
        sql("INSERT OR IGNORE INTO Tag(text) VALUES (?)", (text,))
        sql("INSERT INTO EntryTag SELECT id, ? FROM Tag WHERE text = ?", (entry, text))
    for text in before - after:
        query = "DELETE FROM EntryTag WHERE entry = ? AND tag = (SELECT id FROM Tag WHERE text = ?)"
        sql(query, (entry, text))
    return after != before


def record_purge(sql: Sql, now: float, tags: TagRange, *, soft: bool) -> None:
    """Log the purge, so that it also applies to entries that are being made."""
    sql("DELETE FROM Purge WHERE at < ?", (now - _PURGE_LOG_SECONDS,))
    sql("INSERT INTO Purge VALUES (?, ?, ?, ?)", (now, soft, *tags))


def clamp_purges(sql: Sql, now: float, latest: float) -> None:
    """Date purges from after ``latest`` now: the clock was ahead when they were recorded.

    Else everything that is stored until then would count as purged.
    """
    sql("UPDATE Purge SET at = ? WHERE at > ?", (now, latest))
    sql(
        "UPDATE Settings SET value = ? WHERE key = 'all_soft_purged_at' AND value > ?",
        (now, latest),
    )


class PurgesSince(NamedTuple):
    """When the last soft purge selected an entry (0.0: none did), and whether a hard one did."""

    soft_at: float
    hard: bool


def purges_since(sql: Sql, started_at: float, tags: Sequence[str]) -> PurgesSince:
    """Look up the purges since then that select an entry with these tags."""
    texts = [tag.encode() for tag in tags]
    found = [
        (at, soft)
        for at, soft, *bounds in sql("SELECT * FROM Purge WHERE at >= ?", (started_at,))
        if (purged := TagRange(*bounds)) == ALL_TAGS or any(map(purged.contains, texts))
    ]
    soft_at = max((at for at, soft in found if soft), default=0.0)
    return PurgesSince(soft_at, hard=any(not soft for _, soft in found))


def soft_purge_all(sql: Sql, now: float) -> int:
    """Mark everything stored before now as stale, without touching a row; return how many."""
    sql("UPDATE Settings SET value = ? WHERE key = 'all_soft_purged_at'", (now,))
    ((count,),) = sql("SELECT value FROM Settings WHERE key = 'count'").fetchall()
    return int(count)


def cost_per_byte(cost: float, size: int) -> float:
    """Return the seconds to remake one byte, rounded down to a power of two.

    So coarse that entries of about the same cost are equal, and recent use decides among them.
    """
    return 2.0 ** math.floor(math.log2(cost / size)) if cost > 0 else 0.0


class Evictable(NamedTuple):
    rowid: int
    key: str
    filename: str | None
    size: int
    priority: float


def lowest_priority(sql: Sql, excess: int, *, spare: int, limit: int) -> list[Evictable]:
    """Return entries of at least ``excess`` bytes: lowest priority first, then least recently used.

    ``spare`` is a row id that is left out.
    """
    query = (
        "SELECT rowid, key, filename, size, priority FROM Cache WHERE rowid <> ?"
        " ORDER BY priority, access_time LIMIT ?"
    )
    found = []
    for row in sql(query, (spare, limit)).fetchall() if excess > 0 else ():
        evictable = Evictable(*row)
        found.append(evictable)
        excess -= evictable.size
        if excess <= 0:
            break
    return found


def select_evictions(sql: Sql, budget: int, *, spare: int, limit: int) -> list[Evictable]:
    """Return the entries to remove, so that the others fit the budget.

    GreedyDual-Size (Cao and Irani, 1997): a priority is the cost per byte plus a clock, and the
    clock rises to the priority that was evicted last. Unused entries age, whatever they cost.
    """
    ((total,),) = sql("SELECT value FROM Settings WHERE key = 'size'").fetchall()
    found = lowest_priority(sql, total - budget, spare=spare, limit=limit)
    if found:
        query = "UPDATE Settings SET value = MAX(value, ?) WHERE key = 'eviction_clock'"
        sql(query, (found[-1].priority,))
    return found


def mark_used(sql: Sql, keys: Iterable[str], now: float) -> None:
    for key in keys:
        sql(
            "UPDATE Cache SET access_time = ?, priority = cost_per_byte +"
            " (SELECT value FROM Settings WHERE key = 'eviction_clock') WHERE key = ? AND raw = 1",
            (now, key),
        )


def count_reads(sql: Sql, *, hits: int, misses: int) -> None:
    for name, number in (("hits", hits), ("misses", misses)):
        if number:
            sql("UPDATE Settings SET value = value + ? WHERE key = ?", (number, name))


def recount(sql: Sql) -> None:
    """Count the entries and their bytes again, one by one."""
    sql("UPDATE Settings SET value = (SELECT COUNT(*) FROM Cache) WHERE key = 'count'")
    sql("UPDATE Settings SET value = (SELECT COALESCE(SUM(size), 0) FROM Cache) WHERE key = 'size'")
