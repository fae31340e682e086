"""What was purged, and when by the clock of the bucket: a file for all workers of a machine.

The log has a *stamp* for each tag, prefix and everything that was ever purged: the second in which
the bucket stored the latest of these purges, and the names of the purges of that second. Stamps are
joined, so order and repetition make no difference: what is learned late, twice, or from several
objects leads to the same log. Nothing in it depends on the clock of a machine:

- An entry of the bucket says since when it was worked on, as a lower bound of the bucket's clock
  (`StoreTime`). A purge that the bucket stored later selects it.
- An entry of this machine is purged when the machine learns the purge. First the log has the purge,
  so that no read of the bucket brings the entry back, then the cache is purged, then the log says
  that this is done.

All methods block, and raise StorageError. `proxy.cache.purge_sync` calls them on a thread.
"""

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from proxy.cache.purge_objects import PurgeRow, Stamp, object_id
from proxy.cache.sqlite import BUSY_SECONDS, StorageError, inode, translate_errors
from proxy.cache.store import All, ByTag, ByTagPrefix, Selector

T = TypeVar("T")

_SCHEMA_VERSION = 2
_TABLES = """
CREATE TABLE Purge (
    kind INTEGER, text BLOB,
    hard_second INTEGER NOT NULL DEFAULT 0, hard_ids TEXT NOT NULL DEFAULT '',
    soft_second INTEGER NOT NULL DEFAULT 0, soft_ids TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, text)) WITHOUT ROWID;
CREATE TABLE PrefixLength (length INTEGER PRIMARY KEY);
CREATE TABLE Due (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER, text BLOB, soft INTEGER);
CREATE TABLE Object (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE Pending (name TEXT PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE PendingRow (
    kind INTEGER, text BLOB, name TEXT, PRIMARY KEY (kind, text, name)) WITHOUT ROWID;
CREATE TABLE Sync (finished REAL PRIMARY KEY, second REAL) WITHOUT ROWID;
CREATE TABLE Value (key TEXT PRIMARY KEY, value REAL) WITHOUT ROWID;
"""

_ALL, _TAG, _PREFIX = 0, 1, 2

STORE_SKEW_SECONDS = 2
"""Last-Modified has whole seconds, and the servers of a bucket may differ by one more."""

_RATE = 0.999
"""Of the bucket's clock against ours, at least: a machine's clock drifts by far less."""

_SYNC_SECONDS = 3600.0  # no work on an entry takes longer
_MAX_VARIABLES = 500  # in one statement
_MAX_PENDING_ROWS = 100_000


class StoreTime(NamedTuple):
    """The bucket's clock was at ``second`` or later when ours, monotonic, was at ``monotonic``."""

    second: float
    monotonic: float

    def at(self, monotonic: float) -> float:
        """Return a lower bound of the bucket's clock at that time of ours.

        Also after a restart of the machine, when its monotonic clock starts again.
        """
        seconds = monotonic - self.monotonic
        return max(0.0, self.second + (seconds * _RATE if seconds > 0 else seconds / _RATE))


class PurgeLog:
    """The log in a file; without a ``path`` in the memory of this process. For one thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._inode: int | None = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> bool:
        """Open the file where it is not open or was replaced; return whether it was opened now.

        A damaged file is made anew: all that is in it lies in the bucket, too, except the purges
        that could not be written there.
        """
        if self._connection is not None:
            if self._path is None or inode(self._path) == self._inode:
                return False
            self.close()
        try:
            self._open()
        except StorageError as error:
            if self._path is None or not error.corrupt:
                raise
            with translate_errors():
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(f"{self._path.name}{suffix}").unlink(missing_ok=True)
            self._open()
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def selects(self, tags: Iterable[str], started: float) -> bool:
        """Whether a purge selects what has these tags and was worked on since ``started``.

        ``started`` is a lower bound of the bucket's clock. Takes time for each tag, however many
        purges there are.
        """
        for keys in _chunks(list(self._keys(tags)), _MAX_VARIABLES // 2):
            values = [value for key in keys for value in key]
            # A cross join looks up each key; SQLite would scan all purges for a condition.
            query = (
                f"WITH Wanted(kind, text) AS (VALUES {', '.join(['(?, ?)'] * len(keys))})"
                " SELECT {} FROM Wanted CROSS JOIN {} USING (kind, text)"
            )
            seconds = query.format("MAX(hard_second, soft_second)", "Purge")
            if any(started < at + STORE_SKEW_SECONDS for (at,) in self._sql(seconds, values)):
                return True
            if self._sql(query.format("1", "PendingRow"), values).fetchall():
                return True
        return False

    def merge(
        self, name: str, rows: Sequence[PurgeRow], *, second: int, apply: bool = True
    ) -> None:
        """Join the purges of an object, and note those that the cache must be purged by.

        ``second`` is when the bucket stored the object: rows without a stamp have this one. Those
        are due unless their very purge is known, others only where they are news.
        """
        with self._transaction():
            stored = Stamp(second, (object_id(name),))
            own = bool(self._sql("SELECT 1 FROM Pending WHERE name = ?", (name,)).fetchall())
            for row in rows:
                self._merge_row(row, stored, apply=apply and not own)
            self._sql("INSERT OR IGNORE INTO Object VALUES (?)", (name,))
            if own:
                self._sql("DELETE FROM Pending WHERE name = ?", (name,))
                self._sql("DELETE FROM PendingRow WHERE name = ?", (name,))

    def _merge_row(self, row: PurgeRow, stored: Stamp, *, apply: bool) -> None:
        kind, text = key = _key(row.selector)
        stamp = row.stamp or stored
        if kind != _ALL and stamp.second + STORE_SKEW_SECONDS < self._everything_at():
            return
        found = self._sql(
            "SELECT hard_second, hard_ids, soft_second, soft_ids FROM Purge"
            " WHERE kind = ? AND text = ?",
            key,
        ).fetchone() or (0, "", 0, "")
        hard, soft = _stamp(*found[:2]), _stamp(*found[2:])
        known = soft if row.soft else hard
        joined = known.join(stamp)
        is_known = set(stamp.ids) <= set(known.ids)
        if joined == known and (is_known or row.stamp is not None):
            return
        column = "soft" if row.soft else "hard"
        self._sql(
            f"INSERT INTO Purge(kind, text, {column}_second, {column}_ids) VALUES (?, ?, ?, ?)"
            f" ON CONFLICT(kind, text) DO UPDATE SET {column}_second = excluded.{column}_second,"
            f" {column}_ids = excluded.{column}_ids",
            (*key, joined.second, ",".join(joined.ids)),
        )
        if kind == _ALL and not row.soft:
            before = joined.second - STORE_SKEW_SECONDS
            self._sql(
                "DELETE FROM Purge WHERE kind <> 0 AND hard_second < ? AND soft_second < ?",
                (before, before),
            )
        if kind == _PREFIX:
            self._sql("INSERT OR IGNORE INTO PrefixLength VALUES (?)", (len(text),))
        if apply and not is_known:
            self._add_due(row)

    def _add_due(self, row: PurgeRow) -> int:
        query = "INSERT INTO Due(kind, text, soft) VALUES (?, ?, ?) RETURNING id"
        ((number,),) = self._sql(query, (*_key(row.selector), row.soft)).fetchall()
        return int(number)

    def _everything_at(self) -> int:
        """When everything was purged last: nothing that came before needs to be known."""
        found = self._sql("SELECT hard_second FROM Purge WHERE kind = 0").fetchone()
        return int(found[0]) if found else 0

    def add_pending(self, name: str, rows: Sequence[PurgeRow]) -> list[int]:
        """Note purges of this machine until the bucket has them: they select everything until then.

        Return their numbers in `due`: the caller purges the cache, and says when that is done.
        """
        with self._transaction():
            ((count,),) = self._sql("SELECT COUNT(*) FROM PendingRow").fetchall()
            if count + len(rows) > _MAX_PENDING_ROWS:
                raise StorageError(f"{count} purges wait for the bucket already")
            self._sql("INSERT INTO Pending VALUES (?, ?)", (name, msgspec.msgpack.encode(rows)))
            for row in rows:
                values = (*_key(row.selector), name)
                self._sql("INSERT OR IGNORE INTO PendingRow VALUES (?, ?, ?)", values)
            return [self._add_due(row) for row in rows]

    def pending(self, limit: int = 100) -> list[str]:
        """The names of objects of this machine that the bucket does not have yet."""
        found = self._sql("SELECT name FROM Pending ORDER BY rowid LIMIT ?", (limit,))
        return [name for (name,) in found.fetchall()]

    def pending_rows(self, name: str) -> list[PurgeRow] | None:
        """The purges of that object; None if the bucket has it."""
        found = self._sql("SELECT rows FROM Pending WHERE name = ?", (name,)).fetchone()
        return None if found is None else msgspec.msgpack.decode(found[0], type=list[PurgeRow])

    def count_pending(self) -> int:
        ((count,),) = self._sql("SELECT COUNT(*) FROM Pending").fetchall()
        return int(count)

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Which of these objects were not merged yet."""
        known: set[str] = set()
        for some in _chunks(names, _MAX_VARIABLES):
            marks = ", ".join("?" * len(some))
            query = f"SELECT name FROM Object WHERE name IN ({marks})"
            known.update(name for (name,) in self._sql(query, some))
        return [name for name in names if name not in known]

    def keep_objects(self, names: Iterable[str]) -> None:
        """Forget the names of objects that are not in the bucket any more."""
        with self._transaction():
            kept = set(names)
            for (name,) in self._sql("SELECT name FROM Object").fetchall():
                if name not in kept:
                    self._sql("DELETE FROM Object WHERE name = ?", (name,))

    def due(self, limit: int) -> dict[int, PurgeRow]:
        """The purges by which the cache of this machine must be purged, by a number."""
        found = self._sql("SELECT * FROM Due ORDER BY id LIMIT ?", (limit,)).fetchall()
        return {
            number: PurgeRow(_selector(kind, text), bool(soft))
            for number, kind, text, soft in found
        }

    def mark_done(self, numbers: Iterable[int]) -> None:
        """A purge that became due again meanwhile has another number, and stays."""
        with self._transaction():
            for number in numbers:
                self._sql("DELETE FROM Due WHERE id = ?", (number,))

    def rows(self) -> Iterator[PurgeRow]:
        """All purges of the log with their stamps."""
        found = self._sql(
            "SELECT kind, text, hard_second, hard_ids, soft_second, soft_ids FROM Purge"
        )
        for kind, text, hard_second, hard_ids, soft_second, soft_ids in found.fetchall():
            selector = _selector(kind, text)
            if hard_second:
                yield PurgeRow(selector, False, _stamp(hard_second, hard_ids))
            if soft_second:
                yield PurgeRow(selector, True, _stamp(soft_second, soft_ids))

    def __len__(self) -> int:
        ((count,),) = self._sql("SELECT COUNT(*) FROM Purge").fetchall()
        return int(count)

    def observe(self, second: float, monotonic: float) -> None:
        """Note that the bucket's clock was at ``second`` or later at that time of ours."""
        if second > self.store_time().at(monotonic):
            with self._transaction():
                self._set("store_second", second)
                self._set("store_monotonic", monotonic)

    def add_sync(self, began: float, finished: float) -> None:
        """Note that all purges were read and applied; both times are monotonic."""
        with self._transaction():
            values = (finished - _SYNC_SECONDS, finished)  # later ones: the machine was restarted
            self._sql("DELETE FROM Sync WHERE finished < ? OR finished > ?", values)
            values = (finished, self.store_time().at(began))
            self._sql("INSERT OR REPLACE INTO Sync VALUES (?, ?)", values)

    def known_until(self, began: float) -> float:
        """Of which time by the bucket's clock the data are that this machine had at that of ours.

        It had applied the purges until then. Later ones may select what it has made of its cache.
        """
        query = "SELECT second FROM Sync WHERE finished <= ? ORDER BY finished DESC LIMIT 1"
        found = self._sql(query, (began,)).fetchone()
        return min(float(found[0]), self.store_time().at(began)) if found else 0.0

    def store_time(self) -> StoreTime:
        found = dict(self._sql("SELECT key, value FROM Value").fetchall())
        return StoreTime(found.get("store_second", 0.0), found.get("store_monotonic", math.inf))

    @property
    def synced_at(self) -> float:
        """When the purges of all machines were read last, by this machine's clock; 0.0: never."""
        found = self._sql("SELECT value FROM Value WHERE key = 'synced_at'").fetchone()
        return float(found[0]) if found else 0.0

    def set_synced(self, at: float) -> None:
        with self._transaction():
            self._set("synced_at", at)

    def _set(self, key: str, value: float) -> None:
        self._sql("INSERT OR REPLACE INTO Value VALUES (?, ?)", (key, value))

    def _keys(self, tags: Iterable[str]) -> Iterator[tuple[int, bytes]]:
        """Each key of a purge that could select one of the tags."""
        lengths = [length for (length,) in self._sql("SELECT length FROM PrefixLength")]
        yield _ALL, b""
        seen: set[bytes] = set()
        for tag in tags:
            text = tag.encode()
            yield _TAG, text
            seen.update(text[:length] for length in lengths if length <= len(text))
        for prefix in seen:
            yield _PREFIX, prefix

    def _sql(self, query: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        if self._connection is None:
            raise StorageError("purge log is not open")
        with translate_errors():
            return self._connection.execute(query, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql("BEGIN IMMEDIATE")
        try:
            yield
            self._sql("COMMIT")
        finally:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _open(self) -> None:
        with translate_errors():
            self._connection = sqlite3.connect(
                self._path or ":memory:",
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            for pragma in (
                "journal_mode = WAL",
                "synchronous = NORMAL",
                "mmap_size = 0",
                "temp_store = MEMORY",
            ):
                self._sql(f"PRAGMA {pragma}")
            with self._transaction():
                self._create_tables()
        except BaseException:
            self.close()
            raise
        self._inode = None if self._path is None else inode(self._path)

    def _create_tables(self) -> None:
        ((version,),) = self._sql("PRAGMA user_version").fetchall()
        if version == 0:
            for statement in _TABLES.split(";"):
                self._sql(statement)
            self._sql(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        elif version != _SCHEMA_VERSION:
            raise StorageError(f"purge log has version {version}", corrupt=True)


def _key(selector: Selector) -> tuple[int, bytes]:
    match selector:
        case All():
            return _ALL, b""
        case ByTag(text):
            return _TAG, text.encode()
        case ByTagPrefix(text):
            return _PREFIX, text.encode()


def _selector(kind: int, text: bytes) -> Selector:
    if kind == _ALL:
        return All()
    return (ByTag if kind == _TAG else ByTagPrefix)(text.decode(errors="surrogateescape"))


def _stamp(second: int, ids: str) -> Stamp:
    return Stamp(second, tuple(ids.split(",")) if ids else ())


def _chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
