"""Entries of one kind on disk, in a folder that holds at most so many bytes.

- A body becomes visible with its row, in one transaction, after all of it is written; it is
  compared with its digest on every read.
- Nothing is written for a read. That an entry was of use is noted, and written with the next put.
- Labels stand in tables of the same database, so an entry is never there without them.

Everything here blocks, and is called on threads; whatever goes wrong is a StorageFailed.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from proxy.buffers import SharedBuffer
from proxy.cache import index
from proxy.cache.envelope import Damaged, Frame, check, check_file, frame, hashed, seal, unseal
from proxy.cache.index import Columns, Sql
from proxy.cache.sqlite import Database, Sealed, StorageFailed, border
from proxy.cache.store import Entry, Everything, Kind, Prefixed, Repairs, Selector, Shelved

logger = logging.getLogger(__name__)

_CLOCK_SLACK = 5.0  # seconds a clock may have been set back by without costing entries
_ABANDONED = 3600.0  # seconds after which nobody is still writing a file
_BATCH = 200  # rows changed in one transaction, so that others can write in between


class _Row(NamedTuple):
    rowid: int
    key: str
    stored: float
    stale_since: float
    mode: object
    filename: str | None
    value: bytes

    @property
    def sound(self) -> bool:
        """Whether the columns hold what they are meant to: SQLite would let them hold anything."""
        return (
            type(self.stored) is float
            and type(self.stale_since) is float
            and type(self.filename) in {str, type(None)}
            and type(self.value) is bytes
        )


_ROW = (
    "SELECT rowid, key, store_time, MAX(stale_since, (SELECT CASE WHEN store_time <= value"
    " THEN value ELSE 0.0 END FROM Settings WHERE Settings.key = 'stale_before')),"
    " mode, filename, value FROM Cache"
)


class Shelf:
    """The entries of one kind.

    ``on_change`` is told each key whose entry was replaced or removed, after it was; None stands
    for any number of keys. ``clock`` is in seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        budget: int,
        *,
        on_change: Callable[[str | None], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the folder, or make it. Raises StorageFailed."""
        self._kind: Kind = kind
        self._budget = budget
        self._on_change = on_change
        self._clock = clock
        self._noting = threading.Lock()
        self._hits = self._misses = 0
        self._touched: dict[str, None] = {}
        self._database = Database(folder)
        self.inode = self._database.inode
        self.in_place = self._database.in_place
        self.close = self._database.close
        self._ballast = False
        with border():
            self._database.files.prepare(clock() - _ABANDONED)
        self._take_ballast()

    def look(self, key: str) -> Entry | None:
        """The entry, undamaged and not from the future; else None."""
        with border():
            entry = self._look(key)
        if entry is not None:
            self.touch(key)
            return entry
        with self._noting:
            self._misses += 1
        return None

    def touch(self, key: str) -> None:
        """Note that the entry was of use; written with one of the next puts."""
        with self._noting:
            self._hits += 1
            if len(self._touched) < _BATCH:
                self._touched[key] = None

    def keep(self, key: str, entry: Entry, begun: float | None = None) -> None:
        """Keep the entry in place of what is there, and make room for it."""
        with border():
            digest = hashed(entry.body)
        sealed = Sealed(seal(frame(self._kind, key, entry, digest)), entry.body)
        if sealed.size > self._budget:
            logger.info("cache: a %s of %d bytes is more than is kept", self._kind, sealed.size)
            return
        try:
            self._keep(key, entry, sealed, begun)
        except StorageFailed as error:
            if not error.full:
                raise
            self._give_back(2 * sealed.size)
            self._keep(key, entry, sealed, begun)
        if not self._ballast:
            self._take_ballast()

    def drop(self, key: str) -> None:
        """Forget the entry."""
        with border():
            self._drop("key = ? AND raw = 1", (key,))
        self._on_change(key)

    def label(self, key: str, labels: Iterable[str]) -> None:
        """Add labels to the entry, if it is there."""
        with border(), self._database.writing() as sql:
            row = self._row(key)
            if row is None or not row.sound:
                return
            try:
                sealed, body = unseal(row.value, self._kind, key)
            except Damaged:
                return  # the next read removes it
            union = tuple(dict.fromkeys((*sealed.labels, *labels)))
            head = seal(structs.replace(sealed, labels=union))
            sql("UPDATE Cache SET value = ? WHERE rowid = ?", (head + body, row.rowid))
            index.relabel(sql, row.rowid, union)
        self._on_change(key)

    def purge(self, selector: Selector, *, soft: bool) -> int:
        """Forget or mark what is selected; how many entries that were."""
        chosen, now = index.span(selector), self._clock()
        with border():
            with self._database.writing() as sql:
                index.note_purge(sql, now, chosen, soft=soft)
                if soft and selector == Everything():
                    count = index.mark_all(sql, now)
            if not soft or selector != Everything():
                rowids = index.selected(self._database.sql, chosen)
                count = len(rowids)
                for start in range(0, count, _BATCH):
                    with self._database.writing() as sql:
                        self._purge_rows(sql, rowids[start : start + _BATCH], now if soft else None)
        self._on_change(None)
        return count

    def labels(self, prefix: str, at_most: int) -> list[str]:
        """Labels that begin so and are carried by something."""
        with border():
            return index.carried(self._database.sql, Prefixed(prefix), at_most)

    def note_purge(self, selector: Selector, *, soft: bool) -> None:
        """Let the purge hold for work that is under way, and for nothing else."""
        with border(), self._database.writing() as sql:
            index.note_purge(sql, self._clock(), index.span(selector), soft=soft)

    def flush(self) -> None:
        """Write what reads left to be written."""
        with border(), self._database.writing() as sql:
            self._write_notes(sql)

    def stats(self) -> Shelved:
        """How much is kept, and how the reads of all processes went."""
        self.flush()
        with border():
            settings = dict(self._database.sql("SELECT key, value FROM Settings").fetchall())
            return Shelved(
                entries=settings.get("count", 0),
                bytes=settings.get("size", 0),
                budget=self._budget,
                hits=settings.get("hits", 0),
                misses=settings.get("misses", 0),
            )

    def verify(self) -> Repairs:
        """Read every entry and put right what is not."""
        with border():
            problems = self._database.sql("PRAGMA quick_check").fetchall()
            if problems != [("ok",)]:
                raise StorageFailed(f"the index is broken: {problems[0][0]}", ruined=True)
            started = self._clock()
            entries = damaged = missing = relabelled = stray = 0
            known: set[str] = set()
            for row in self._rows():
                entries += 1
                try:
                    labels = self._open(row).labels
                except FileNotFoundError:
                    missing += self._forget(row)
                except Damaged:
                    damaged += self._forget(row)
                else:
                    with self._database.writing() as sql:
                        relabelled += index.relabel(sql, row.rowid, labels)
                    known.update({row.filename} if row.filename else ())
            for name in self._database.files.strays(known, started - _ABANDONED):
                self._database.files.remove(name)
                stray += 1
            with self._database.writing() as sql:
                index.recount(sql)
        self._on_change(None)
        return Repairs(entries, damaged, missing, stray, relabelled)

    def _row(self, key: str) -> _Row | None:
        found = self._database.sql(f"{_ROW} WHERE key = ? AND raw = 1", (key,)).fetchone()
        return None if found is None else _Row(*found)

    def _rows(self) -> Iterator[_Row]:
        last, query = -1, f"{_ROW} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        while rows := self._database.sql(query, (last, _BATCH)).fetchall():
            last = rows[-1][0]
            yield from (_Row(*row) for row in rows)

    def _look(self, key: str) -> Entry | None:
        row = self._row(key)
        for _ in range(2):
            if row is None:
                return None
            try:
                return self._open(row)
            except FileNotFoundError:
                # It may have been replaced between the row and its file; then there is another row.
                before, row = row, self._row(key)
                if row is not None and row.filename == before.filename:
                    break
            except Damaged as error:
                logger.warning("cache: a %s is forgotten: %s", self._kind, error)
                break
        if row is not None:
            self._forget(row)
            self._on_change(key)
        return None

    def _open(self, row: _Row) -> Entry:
        """The entry of a row. Raises Damaged, or FileNotFoundError."""
        if not row.sound:
            raise Damaged("it makes no sense")
        if row.stored > self._clock() + _CLOCK_SLACK:
            raise Damaged("it is from the future")
        sealed, body = unseal(row.value, self._kind, row.key)
        descriptor = self._database.fetch(row.mode, row.filename)
        if descriptor is None:
            check(sealed, body)
            return _entry(sealed, SharedBuffer.of(body) if sealed.blob else body, row)
        behind = SharedBuffer(descriptor)  # from here on it is closed with the last reference
        if sealed.blob:
            check_file(sealed, behind)
            return _entry(sealed, behind, row)
        body = behind.read()
        check(sealed, body)
        return _entry(sealed, body, row)

    def _forget(self, row: _Row) -> int:
        """Drop just this version of an entry; how many that were."""
        return self._drop("rowid = ? AND filename IS ?", (row.rowid, row.filename))

    def _drop(self, where: str, values: tuple[object, ...]) -> int:
        with self._database.writing() as sql:
            rows = sql(f"SELECT rowid, filename FROM Cache WHERE {where}", values).fetchall()
            self._drop_rows(sql, rows)
        return len(rows)

    def _drop_rows(self, sql: Sql, rows: Iterable[tuple[int, str | None]]) -> None:
        # Files go before the commit: whoever dies in between leaves a row without a file, which is
        # a miss; the other way round it would be a file that nobody counts.
        for rowid, filename in rows:
            if isinstance(filename, str):
                self._database.files.remove(filename)
            sql("DELETE FROM Cache WHERE rowid = ?", (rowid,))

    def _purge_rows(self, sql: Sql, rowids: Sequence[int], mark: float | None) -> None:
        for rowid in rowids:
            if mark is not None:
                sql("UPDATE Cache SET stale_since = ? WHERE rowid = ?", (mark, rowid))
            else:
                query = "SELECT rowid, filename FROM Cache WHERE rowid = ?"
                self._drop_rows(sql, sql(query, (rowid,)).fetchall())

    def _keep(self, key: str, entry: Entry, sealed: Sealed, begun: float | None) -> None:
        with border():
            columns = self._database.store(sealed)
            try:
                obsolete, gone = self._put(key, entry, columns, begun)
            except BaseException:
                if columns.filename is not None:
                    self._database.files.remove(columns.filename)
                raise
            if obsolete is not None:
                self._database.files.remove(obsolete)
        for one in (key, *gone):
            self._on_change(one)

    def _put(
        self, key: str, entry: Entry, columns: Columns, begun: float | None
    ) -> tuple[str | None, list[str]]:
        """Enter the row; the file that has none any more, and the keys that had to make room."""
        with self._database.writing() as sql:
            self._write_notes(sql)
            stale_since = 0.0
            if begun is not None:
                stale_since, gone = index.purged_since(sql, begun, entry.labels)
                if gone:
                    return columns.filename, []
            old = self._row(key)
            if columns.filename is not None:
                self._database.files.settle(columns.filename)
            rowid = index.enter(
                sql, key, columns, now=self._clock(), stale_since=stale_since, cost=entry.cost
            )
            index.relabel(sql, rowid, entry.labels)
            victims = index.victims(sql, self._budget, spare=rowid, at_most=_BATCH)
            self._drop_rows(sql, [(victim.rowid, victim.filename) for victim in victims])
        return old.filename if old else None, [victim.key for victim in victims]

    def _write_notes(self, sql: Sql) -> None:
        """Write what reads left to be written."""
        with self._noting:
            touched, self._touched = self._touched, {}
            hits, misses = self._hits, self._misses
            self._hits = self._misses = 0
        index.touch(sql, touched, self._clock())
        index.count(sql, hits=hits, misses=misses)

    def _take_ballast(self) -> None:
        try:
            with border():
                self._database.files.take_ballast()
        except StorageFailed:
            return  # there is no room for it; after one of the next puts there may be
        self._ballast = True

    def _give_back(self, wanted: int) -> None:
        """Give bytes back to a disk that may be too full even to note that they are gone."""
        with border():
            self._database.files.drop_ballast()
            self._ballast = False
            victims = index.least(self._database.sql, wanted, spare=0, at_most=_BATCH)
            for victim in victims:
                if victim.filename is not None:
                    self._database.files.remove(victim.filename)
            with self._database.writing() as sql:
                self._drop_rows(sql, [(victim.rowid, victim.filename) for victim in victims])
            self._database.sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._on_change(None)


def _entry(sealed: Frame, body: bytes | SharedBuffer, row: _Row) -> Entry:
    return Entry(
        body=body,
        head=sealed.head,
        labels=sealed.labels,
        cost=sealed.cost,
        stored=row.stored,
        stale_since=row.stale_since,
    )
