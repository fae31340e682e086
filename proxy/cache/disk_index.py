"""The statements on the index of a cache on disk: rows, tags, recent purges, and evictions.

The caller holds the transaction of statements that write.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from proxy.cache.sqlite import Sql
from proxy.cache.store import All, ByTag, ByTagPrefix, Selector

_PURGE_LOG_SECONDS = 3600.0  # no work on an entry takes longer


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


def last_purge_at(sql: Sql, now: float, latest: float) -> float:
    """Return when the last purge was recorded, in Unix seconds; 0.0 if none is known.

    Those from after ``latest`` are dated now, as `clamp_purges` does.
    """
    query = (
        "SELECT CAST(MAX(COALESCE((SELECT MAX(at) FROM Purge), 0.0), COALESCE((SELECT value"
        " FROM Settings WHERE key = 'all_soft_purged_at'), 0.0)) AS REAL)"
    )
    ((at,),) = sql(query).fetchall()
    if at <= latest:
        return float(at)
    clamp_purges(sql, now, latest)
    return now


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
