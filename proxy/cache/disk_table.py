"""Entries of one kind on disk: bodies, tags and eviction, within a budget of bytes.

- A body becomes visible with its row, in one transaction, after all of it is written. Its digest is
  checked at every read.
- A read writes nothing. That an entry was used is remembered, and written with the next put.
- Tags lie in tables of the same database, so an entry never exists without them.

All methods block and run on threads; whatever goes wrong is a StorageError.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import structs

from proxy.buffers import SharedBuffer
from proxy.cache import disk_index
from proxy.cache.disk_index import Columns
from proxy.cache.disk_rows import IN_FILE, IN_ROW, SELECT_ROW, NewEntry, PreparedWrite, Row
from proxy.cache.envelope import CorruptEntry, Envelope
from proxy.cache.files import BodyFiles
from proxy.cache.sqlite import Database, Sql, StorageError, translate_errors
from proxy.cache.store import All, ByTagPrefix, CacheStats, Entry, Kind, Selector, VerifyReport

_log = logging.getLogger(__name__)


_CLOCK_SKEW_SECONDS = 5.0  # a clock may be set back by this without a loss of entries
_ABANDONED_SECONDS = 3600.0  # nobody writes to one file for longer
_BATCH = 200  # rows changed in one transaction, so that others can write in between


class DiskTable:
    """The entries of one kind.

    ``on_change`` is called with each key whose entry was replaced or removed, afterwards; with None
    for any number of keys. ``clock`` is in Unix seconds.
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
        """Open the folder, or create it. Raises StorageError."""
        self._kind: Kind = kind
        self._budget = budget
        self._on_change = on_change
        self._clock = clock
        self._usage_lock = threading.Lock()
        self._hits = self._misses = 0
        self._used: dict[str, None] = {}
        self._files = BodyFiles(folder)
        self._database = Database(folder)
        self.inode = self._database.inode
        self.is_in_place = self._database.is_in_place
        self.close = self._database.close
        self._has_reserve = False
        try:
            with translate_errors():
                self._files.prepare(clock() - _ABANDONED_SECONDS)
        except StorageError:
            self.close()
            raise
        self._allocate_reserve()

    def get(self, key: str) -> Entry | None:
        """Return the entry: intact, and not stored in the future."""
        with translate_errors():
            entry = self._get(key)
        if entry is not None:
            self.mark_used(key)
            return entry
        with self._usage_lock:
            self._misses += 1
        return None

    def mark_used(self, key: str) -> None:
        """Remember that the entry was used; one of the next puts writes it."""
        with self._usage_lock:
            self._hits += 1
            if len(self._used) < _BATCH:
                self._used[key] = None

    def put(self, key: str, entry: Entry, started_at: float | None = None) -> None:
        """Store the entry in place of the one under this key, and evict others for it."""
        write = self._wrap(NewEntry(key, entry, started_at))
        if write is None:
            return
        try:
            self._write([write])
        except StorageError as error:
            if not error.disk_full:
                raise
            self._free_space(2 * write.size)
            self._write([write])

    def put_all(self, entries: Sequence[NewEntry]) -> None:
        """Store them in their order, as `put` does, in one transaction if possible."""
        if len(entries) > 1:
            try:
                writes = [write for entry in entries if (write := self._wrap(entry)) is not None]
                self._write(writes)
            except StorageError as error:
                if error.corrupt:
                    raise
            else:
                return
        failures = []
        for entry in entries:
            try:
                self.put(*entry)
            except StorageError as error:  # perhaps of this entry alone
                failures.append(error)
        if failures:
            raise failures[0]

    def add_tags(self, key: str, tags: Iterable[str]) -> None:
        """Add tags to the entry, if there is one."""
        with translate_errors(), self._database.transaction() as sql:
            row = self._find_row(key)
            if row is None or not row.is_valid:
                return
            try:
                envelope, body = Envelope.decode(row.value, self._kind, key)
            except CorruptEntry:
                return  # the next read removes it
            union = tuple(dict.fromkeys((*envelope.tags, *tags)))
            head = structs.replace(envelope, tags=union).encode()
            sql("UPDATE Cache SET value = ? WHERE rowid = ?", (head + body, row.rowid))
            disk_index.set_tags(sql, row.rowid, union)
        self._on_change(key)

    def purge(self, selector: Selector, *, soft: bool) -> int:
        """Remove the selected entries, or mark them as stale; return how many."""
        tags, now = disk_index.tag_range(selector), self._clock()
        with translate_errors():
            with self._database.transaction() as sql:
                disk_index.record_purge(sql, now, tags, soft=soft)
                if soft and selector == All():
                    count = disk_index.soft_purge_all(sql, now)
            if not soft or selector != All():
                rowids = disk_index.entries_tagged(self._database.sql, tags)
                count = len(rowids)
                for start in range(0, count, _BATCH):
                    with self._database.transaction() as sql:
                        self._purge_rows(sql, rowids[start : start + _BATCH], now if soft else None)
        self._on_change(None)
        return count

    def tags_with_prefix(self, prefix: str, limit: int) -> list[str]:
        with translate_errors():
            return disk_index.tags_in(
                self._database.sql, disk_index.tag_range(ByTagPrefix(prefix)), limit
            )

    def record_purge(self, selector: Selector, *, soft: bool) -> None:
        """Apply the purge to entries that are being made, and to no others."""
        with translate_errors(), self._database.transaction() as sql:
            disk_index.record_purge(sql, self._clock(), disk_index.tag_range(selector), soft=soft)

    def flush(self) -> None:
        """Write what reads left to be written."""
        with translate_errors(), self._database.transaction() as sql:
            self._write_usage(sql)

    def stats(self) -> CacheStats:
        """Return the size, and the hits and misses of all processes."""
        self.flush()
        with translate_errors():
            settings = dict(self._database.sql("SELECT key, value FROM Settings").fetchall())
            return CacheStats(
                entries=settings.get("count", 0),
                bytes=settings.get("size", 0),
                budget=self._budget,
                hits=settings.get("hits", 0),
                misses=settings.get("misses", 0),
            )

    def verify(self) -> VerifyReport:
        """Read every entry and repair what is damaged."""
        with translate_errors():
            problems = self._database.sql("PRAGMA quick_check").fetchall()
            if problems != [("ok",)]:
                raise StorageError(f"index is damaged: {problems[0][0]}", corrupt=True)
            started_at = self._clock()
            entries = damaged = missing = orphans = retagged = 0
            known: set[str] = set()
            for row in self._rows():
                entries += 1
                try:
                    tags = self._read(row).tags
                except FileNotFoundError:
                    missing += self._remove(row)
                except CorruptEntry:
                    damaged += self._remove(row)
                else:
                    with self._database.transaction() as sql:
                        retagged += disk_index.set_tags(sql, row.rowid, tags)
                    known.update({row.filename} if row.filename else ())
            for name in self._files.find_orphans(known, started_at - _ABANDONED_SECONDS):
                self._files.remove(name)
                orphans += 1
            with self._database.transaction() as sql:
                disk_index.recount(sql)
        self._on_change(None)
        return VerifyReport(entries, damaged, missing, orphans, retagged)

    def _find_row(self, key: str) -> Row | None:
        query = f"{SELECT_ROW} WHERE key = ? AND raw = 1"
        found = self._database.sql(query, (key,)).fetchone()
        return None if found is None else Row(*found)

    def _rows(self) -> Iterator[Row]:
        last, query = -1, f"{SELECT_ROW} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        while rows := self._database.sql(query, (last, _BATCH)).fetchall():
            last = rows[-1][0]
            yield from (Row(*row) for row in rows)

    def _get(self, key: str) -> Entry | None:
        row = self._find_row(key)
        for _ in range(2):
            if row is None:
                return None
            try:
                return self._read(row)
            except FileNotFoundError:
                # The entry may have been replaced after the row was read; then its row is another.
                before, row = row, self._find_row(key)
                if row is not None and row.filename == before.filename:
                    break
            except CorruptEntry as error:
                _log.warning("cache entry removed: kind=%s, %s", self._kind, error)
                break
        if row is not None:
            self._remove(row)
            self._on_change(key)
        return None

    def _read(self, row: Row) -> Entry:
        """Return the entry of a row. Raises CorruptEntry, or FileNotFoundError."""
        if not row.is_valid:
            raise CorruptEntry("row has wrong types")
        if row.stored_at > self._clock() + _CLOCK_SKEW_SECONDS:
            raise CorruptEntry("row is dated in the future")
        envelope, in_row = Envelope.decode(row.value, self._kind, row.key)
        body: bytes | SharedBuffer
        if row.mode == IN_ROW and row.filename is None:
            body = in_row
        elif row.mode == IN_FILE and row.filename is not None:
            body = SharedBuffer(self._files.open(row.filename))  # closes the file with itself
        else:
            raise CorruptEntry("row has an unknown mode")
        soft_purged_at = row.soft_purged_at
        if soft_purged_at > self._clock() + _CLOCK_SKEW_SECONDS:
            soft_purged_at = self._clamp_soft_purge(row)
        return envelope.unwrap(body, stored_at=row.stored_at, soft_purged_at=soft_purged_at)

    def _clamp_soft_purge(self, row: Row) -> float:
        """Date a soft purge from the future now: the clock was ahead when it was made."""
        now = self._clock()
        with self._database.transaction() as sql:
            disk_index.clamp_purges(sql, now, now + _CLOCK_SKEW_SECONDS)
            sql(
                "UPDATE Cache SET soft_purged_at = ? WHERE rowid = ? AND soft_purged_at > ?",
                (now, row.rowid, now),
            )
        return now

    def _remove(self, row: Row) -> int:
        """Remove this version of an entry only; return how many that were."""
        query = "SELECT rowid, filename FROM Cache WHERE rowid = ? AND filename IS ?"
        with self._database.transaction() as sql:
            rows = sql(query, (row.rowid, row.filename)).fetchall()
            self._delete_rows(sql, rows)
        return len(rows)

    def _delete_rows(self, sql: Sql, rows: Iterable[tuple[int, str | None]]) -> None:
        # Files go before the commit: a process that dies in between leaves a row without a file,
        # which is a miss. The other way round it would leave a file that no budget counts.
        for rowid, filename in rows:
            if isinstance(filename, str):
                self._files.remove(filename)
            sql("DELETE FROM Cache WHERE rowid = ?", (rowid,))

    def _purge_rows(self, sql: Sql, rowids: Sequence[int], soft_purged_at: float | None) -> None:
        for rowid in rowids:
            if soft_purged_at is not None:
                query = "UPDATE Cache SET soft_purged_at = ? WHERE rowid = ?"
                sql(query, (soft_purged_at, rowid))
            else:
                query = "SELECT rowid, filename FROM Cache WHERE rowid = ?"
                self._delete_rows(sql, sql(query, (rowid,)).fetchall())

    def _wrap(self, new: NewEntry) -> PreparedWrite | None:
        """The entry as it is written; None where it is larger than the budget."""
        with translate_errors():
            write = PreparedWrite.wrap(self._kind, new)
        if write.size <= self._budget:
            return write
        sizes = write.size, self._budget
        _log.info("cache entry too large: kind=%s, %d bytes, budget %d", self._kind, *sizes)
        return None

    def _write(self, writes: Sequence[PreparedWrite]) -> None:
        """Store all of them, or none."""
        columns: list[Columns] = []
        obsolete: list[str | None] = []
        changed: list[str] = []
        with translate_errors():
            try:
                columns.extend(write.stage(self._files) for write in writes)
                with self._database.transaction() as sql:
                    self._write_usage(sql)
                    now = self._clock()
                    purged_at = disk_index.last_purge_at(sql, now, now + _CLOCK_SKEW_SECONDS)
                    for write, one in zip(writes, columns, strict=True):
                        old, evicted = self._write_row(sql, write, one, now, purged_at)
                        obsolete.append(old)
                        changed += (write.key, *evicted)
            except BaseException:
                for name in filter(None, (one.filename for one in columns)):
                    self._files.remove(name)
                raise
            for name in filter(None, obsolete):
                self._files.remove(name)
        for key in changed:
            self._on_change(key)
        if not self._has_reserve:
            self._allocate_reserve()

    def _write_row(
        self, sql: Sql, write: PreparedWrite, columns: Columns, now: float, purged_at: float
    ) -> tuple[str | None, list[str]]:
        """Return the file that no row names any more, and the keys of evicted entries.

        ``purged_at`` is when the last purge was recorded.
        """
        soft_purged_at = 0.0
        if write.started_at is not None and purged_at >= write.started_at:
            soft_purged_at, purged = disk_index.purges_since(
                sql, write.started_at, write.entry.tags
            )
            if purged:
                return columns.filename, []
        before = self._find_row(write.key)
        if columns.filename is not None:
            self._files.commit(columns.filename)
        rowid = disk_index.upsert(
            sql,
            write.key,
            columns,
            now=now,
            soft_purged_at=soft_purged_at,
            cost=write.entry.cost,
        )
        disk_index.set_tags(sql, rowid, write.entry.tags)
        evicted = disk_index.select_evictions(sql, self._budget, spare=rowid, limit=_BATCH)
        self._delete_rows(sql, [(one.rowid, one.filename) for one in evicted])
        obsolete = before.filename if before and before.is_valid else None
        return obsolete, [one.key for one in evicted]

    def _write_usage(self, sql: Sql) -> None:
        with self._usage_lock:
            used, self._used = self._used, {}
            hits, misses = self._hits, self._misses
            self._hits = self._misses = 0
        disk_index.mark_used(sql, used, self._clock())
        disk_index.count_reads(sql, hits=hits, misses=misses)

    def _allocate_reserve(self) -> None:
        try:
            with translate_errors():
                self._files.allocate_reserve()
        except StorageError:
            return  # no space for it now; there may be some after one of the next puts
        self._has_reserve = True

    def _free_space(self, size: int) -> None:
        """Free bytes on a disk that may be too full even to record that they are free."""
        with translate_errors():
            self._files.release_reserve()
            self._has_reserve = False
            evicted = disk_index.lowest_priority(self._database.sql, size, spare=0, limit=_BATCH)
            for one in evicted:
                if one.filename is not None:
                    self._files.remove(one.filename)
            with self._database.transaction() as sql:
                self._delete_rows(sql, [(one.rowid, one.filename) for one in evicted])
            self._database.sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._on_change(None)
