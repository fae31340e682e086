"""The SQLite database of one kind: its tables, its transactions, and its errors.

diskcache creates the file with its tables ``Cache`` and ``Settings``, whose triggers count entries
and bytes. We add tables and columns; `proxy.cache.disk_index` has the statements. Three rules:

1. diskcache serializes nothing: it unpickles whatever is in its database (CVE-2025-69872).
2. Nothing is read through a memory mapping: a truncated file must be an error, not a SIGBUS.
3. What sqlite3, diskcache or the file system raise becomes a StorageError.
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from proxy.compat.diskcache import DATABASE_NAME, CacheDatabase

Sql = Callable[..., sqlite3.Cursor]
"""Execute one statement; the caller holds the transaction."""

_SCHEMA_VERSION = 2

BUSY_SECONDS = 2.0  # a write that waits longer for another writer is better not done
_SHM_BYTES = 32 * 1024  # index of the write-ahead log: one page, because the log is kept short


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
        logs = inode(self._wal), self._extend_shm()
        return self.inode == inode(self._path) and self._log_inodes == logs

    def _extend_shm(self) -> int | None:
        """Restore the size of the index of the log, and return its inode."""
        # SQLite always maps this file. If something truncated it, the next access would be a
        # SIGBUS. Zeros in its place make SQLite read the log again.
        try:
            status = self._shm.stat()
        except OSError:
            return None
        if status.st_size < _SHM_BYTES:
            with contextlib.suppress(OSError):
                os.truncate(self._shm, _SHM_BYTES)
        return status.st_ino


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
