"""diskcache, as far as it is used here: its database, its folder of files, its care for threads.

- Nothing is pickled or unpickled: diskcache believes whatever its database says (CVE-2025-69872).
- Nothing is mapped that can be read: a file that is cut short must be an error, not a bus error.
- Whatever sqlite3, diskcache or the file system raise leaves here as a StorageFailed.
"""

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import diskcache
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.cache import index
from proxy.cache.envelope import Damaged
from proxy.cache.files import Files
from proxy.cache.index import Columns, Sql

FILE_BYTES = 32 * 1024  # from here on a body is a file of its own
ROW_BYTES = 512  # what an entry takes beside its bytes: row, labels, their indices
_SHARED_BYTES = 32 * 1024  # of the log's index: one page of it, since the log is kept short
_PATIENCE = 2.0  # seconds; what waits longer for another writer is better left undone


class StorageFailed(Exception):
    """The disk or the index would not. ``ruined``: the index can only be made anew."""

    def __init__(self, message: str, *, ruined: bool = False, full: bool = False) -> None:
        super().__init__(message)
        self.ruined = ruined
        self.full = full


@contextlib.contextmanager
def border() -> Iterator[None]:
    """Turn what the outside raises into StorageFailed."""
    try:
        yield
    except sqlite3.Error as error:
        whole = getattr(error, "sqlite_errorcode", 0)
        code = whole & 0xFF
        # SQLITE_ERROR stands for "no such table" here: our statements are right, the schema is not.
        ruined = code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
        ruined = ruined or whole == sqlite3.SQLITE_IOERR_SHORT_READ  # the log was cut short
        raise StorageFailed(str(error), ruined=ruined, full=code == sqlite3.SQLITE_FULL) from error
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise StorageFailed(error.strerror or str(error), full=full) from error


class Sealed(Struct, frozen=True):
    """An entry as it is written: everything about the body, and the body."""

    head: bytes
    body: bytes | SharedBuffer

    @property
    def size(self) -> int:
        return len(self.head) + len(self.body) + ROW_BYTES


class Bytes(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """How keys and sealed entries become columns. Nothing else goes in, nothing else comes out."""

    def __init__(self, directory: str, **settings: object) -> None:
        super().__init__(directory, **settings)
        self.files = Files(Path(directory))

    def put(self, key: object) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError("a key is text")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if not raw or type(key) is not str:
            raise Damaged("the key is no text")
        return key

    def store(
        self, value: object, read: bool, key: object = None
    ) -> tuple[int, int, str | None, bytes]:
        """Size, mode, file name and value. The file has yet to be settled."""
        if type(value) is not Sealed or read:
            raise TypeError("only a sealed entry is stored")
        if len(value.body) < FILE_BYTES:
            body = value.body if isinstance(value.body, bytes) else value.body.read()
            return value.size, diskcache.core.MODE_RAW, None, value.head + body
        name, _ = self.filename()
        self.files.write(name, value.body)
        return value.size, diskcache.core.MODE_BINARY, name, value.head

    def fetch(self, mode: object, filename: object, value: object, read: object) -> int | None:
        """A descriptor of the file that holds the body; None where the row itself holds it."""
        if mode == diskcache.core.MODE_RAW and filename is None:
            return None
        if mode != diskcache.core.MODE_BINARY or type(filename) is not str:
            raise Damaged("the entry is of a kind that is not written here")
        return self.files.open(filename)

    def remove(self, file_path: str) -> None:
        self.files.remove(file_path)


class Database(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
    """One open database with its files. Each thread has a connection of its own."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, or make it. Raises StorageFailed."""
        self._connections: list[sqlite3.Connection] = []
        self._path = index_of(folder)
        self._shared = self._path.with_name(f"{self._path.name}-shm")
        try:
            with border():
                folder.mkdir(mode=0o700, exist_ok=True)
                super().__init__(
                    str(folder),
                    timeout=_PATIENCE,
                    disk=Bytes,
                    eviction_policy="none",  # the shelf evicts: it knows what an entry is worth
                    sqlite_auto_vacuum=2,  # incremental: FULL moves pages at every removal
                    sqlite_mmap_size=0,
                    disk_min_file_size=FILE_BYTES,
                )
                with self.writing() as sql:
                    index.create(sql)
                self.inode = self._path.stat().st_ino
                self._besides = [inode(path) for path in self._logs]
        except StorageFailed:
            self.close()
            raise
        except (TypeError, ValueError, AttributeError) as error:
            self.close()  # diskcache read settings from the database that it had never written
            raise StorageFailed(f"the index makes no sense: {error}", ruined=True) from error

    @property
    def files(self) -> Files:
        files: Files = self._disk.files
        return files

    @property
    def sql(self) -> Sql:
        """Executes one statement on the calling thread's connection."""
        return self._con.execute

    @contextlib.contextmanager
    def writing(self) -> Iterator[Sql]:
        """A transaction. diskcache's own does not roll back when a commit fails on a full disk."""
        connection = self._con
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection.execute
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def store(self, sealed: Sealed) -> Columns:
        """Write the file, if there is to be one, and tell what goes into the row."""
        return Columns(*self._disk.store(sealed, read=False))

    def fetch(self, mode: object, filename: object) -> int | None:
        """A descriptor of the body's file, if it has one. Raises Damaged or FileNotFoundError."""
        descriptor: int | None = self._disk.fetch(mode, filename, None, read=True)
        return descriptor

    def in_place(self) -> bool:
        """Whether the paths still lead to this database: it, or its log, may have been replaced."""
        self._heal()
        return self.inode == inode(self._path) and self._besides == list(map(inode, self._logs))

    @property
    def _logs(self) -> tuple[Path, Path]:
        """SQLite's log of changes, and the index of that log."""
        return self._path.with_name(f"{self._path.name}-wal"), self._shared

    def _heal(self) -> None:
        # SQLite maps the log's index, always: had somebody cut it short, the next look into it
        # would be a bus error. Zeros in their place make SQLite read the log anew.
        with contextlib.suppress(OSError):
            if self._shared.stat().st_size < _SHARED_BYTES:
                os.truncate(self._shared, _SHARED_BYTES)

    def close(self) -> None:
        """Close the connections of all threads; none may be in use."""
        self._local = threading.local()
        while self._connections:
            self._connections.pop().close()

    @property
    def _con(self) -> sqlite3.Connection:
        """The calling thread's connection; diskcache could not close those of other threads."""
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False
            )
            self._connections.append(connection)
            for pragma in (
                "synchronous = NORMAL",
                "mmap_size = 0",
                "temp_store = MEMORY",
                "wal_autocheckpoint = 256",  # pages: the log stays small, for small disks
            ):
                connection.execute(f"PRAGMA {pragma}")
            self._local.con = connection
        return connection


def index_of(folder: Path) -> Path:
    """The database's file."""
    name: str = diskcache.core.DBNAME
    return folder / name


def inode(path: Path) -> int | None:
    """What tells this file from another that has had its path; None when there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
