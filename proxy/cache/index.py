"""The tables beside diskcache's own: labels, purges, and what an entry is worth.

Plain statements on an open connection; the caller holds the transaction. A purge is a range of
labels, so that one label, a prefix and everything are the same few statements.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from proxy.cache.store import Everything, Labelled, Prefixed, Selector

Sql = Callable[..., sqlite3.Cursor]

_PURGES_KEPT = 3600.0  # seconds; no work on an entry lasts longer

_TABLES = """
CREATE INDEX IF NOT EXISTS Cache_worth ON Cache(worth, access_time)

CREATE TABLE IF NOT EXISTS Word (id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE)

CREATE TABLE IF NOT EXISTS Label
    (word INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (word, entry)) WITHOUT ROWID

CREATE INDEX IF NOT EXISTS Label_entry ON Label(entry)

CREATE TABLE IF NOT EXISTS Purge (at REAL, soft INTEGER, lower BLOB, upper BLOB)

INSERT OR IGNORE INTO Settings VALUES ('clock', 0.0)

INSERT OR IGNORE INTO Settings VALUES ('stale_before', 0.0)

CREATE TRIGGER IF NOT EXISTS Cache_labels AFTER DELETE ON Cache FOR EACH ROW BEGIN
    DELETE FROM Label WHERE entry = OLD.rowid;
END

CREATE TRIGGER IF NOT EXISTS Label_words AFTER DELETE ON Label FOR EACH ROW BEGIN
    DELETE FROM Word
    WHERE id = OLD.word AND NOT EXISTS (SELECT 1 FROM Label WHERE word = OLD.word);
END
"""
_COLUMNS = ("stale_since", "worth", "density")


def create(sql: Sql) -> None:
    """Add what is missing to diskcache's tables."""
    present = {name for _, name, *_ in sql("PRAGMA table_info(Cache)")}
    for name in _COLUMNS:
        if name not in present:
            sql(f"ALTER TABLE Cache ADD COLUMN {name} REAL DEFAULT 0.0")
    for statement in _TABLES.split("\n\n"):
        sql(statement)


class Columns(Struct, frozen=True):
    """How an entry lies in its row. The body follows in ``value``, or is in the file."""

    size: int
    mode: object
    filename: str | None
    value: bytes


class Span(NamedTuple):
    """Labels from ``lower`` on, up to but without ``upper``; without an end where that is None."""

    lower: bytes
    upper: bytes | None


def span(selector: Selector) -> Span:
    match selector:
        case Everything():
            return Span(b"", None)
        case Labelled(label):
            return Span(label.encode(), label.encode() + b"\0")
        case Prefixed(prefix):
            return Span(prefix.encode(), after(prefix.encode()))


def after(prefix: bytes) -> bytes | None:
    """The first text that is greater than all which begin so; None when there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def carried(sql: Sql, selector: Prefixed, at_most: int) -> list[str]:
    """Labels of the span that some entry carries."""
    lower, upper = span(selector)
    bound, values = ("", ()) if upper is None else (" AND text < ?", (upper,))
    found = sql(f"SELECT text FROM Word WHERE text >= ?{bound} LIMIT ?", (lower, *values, at_most))
    return [text.decode(errors="replace") for (text,) in found.fetchall()]


def selected(sql: Sql, chosen: Span) -> list[int]:
    """The rows of entries that carry a label of the span, or of all where all are chosen."""
    if chosen == Span(b"", None):
        return [rowid for (rowid,) in sql("SELECT rowid FROM Cache")]
    bound, values = ("", ()) if chosen.upper is None else (" AND text < ?", (chosen.upper,))
    words = f"SELECT id FROM Word WHERE text >= ?{bound}"
    query = f"SELECT DISTINCT entry FROM Label WHERE word IN ({words})"
    return [rowid for (rowid,) in sql(query, (chosen.lower, *values))]


def mark_all(sql: Sql, now: float) -> int:
    """Everything stored before now is stale, without a word in any row; how many those are."""
    sql("UPDATE Settings SET value = ? WHERE key = 'stale_before'", (now,))
    ((count,),) = sql("SELECT value FROM Settings WHERE key = 'count'").fetchall()
    return int(count)


def relabel(sql: Sql, entry: int, labels: Iterable[str]) -> bool:
    """Let the entry carry just these labels; whether that changed anything."""
    query = "SELECT text FROM Label JOIN Word ON id = word WHERE entry = ?"
    before = {text for (text,) in sql(query, (entry,))}
    wanted = {label.encode() for label in labels}
    for text in wanted - before:
        sql("INSERT OR IGNORE INTO Word(text) VALUES (?)", (text,))
        sql("INSERT INTO Label SELECT id, ? FROM Word WHERE text = ?", (entry, text))
    for text in before - wanted:
        query = "DELETE FROM Label WHERE entry = ? AND word = (SELECT id FROM Word WHERE text = ?)"
        sql(query, (entry, text))
    return wanted != before


def note_purge(sql: Sql, now: float, chosen: Span, *, soft: bool) -> None:
    """Remember the purge for work that is under way."""
    sql("DELETE FROM Purge WHERE at < ?", (now - _PURGES_KEPT,))
    sql("INSERT INTO Purge VALUES (?, ?, ?, ?)", (now, soft, *chosen))


class Purged(NamedTuple):
    """How purges met work that was under way: when the last soft one did, and if a hard one did."""

    soft_at: float
    hard: bool


def purged_since(sql: Sql, begun: float, labels: Sequence[str]) -> Purged:
    """What purges since then say of an entry with these labels."""
    texts = [label.encode() for label in labels]
    met = [
        (at, soft)
        for at, soft, lower, upper in sql("SELECT * FROM Purge WHERE at >= ?", (begun,))
        if (lower == b"" and upper is None)
        or any(lower <= text and (upper is None or text < upper) for text in texts)
    ]
    soft_at = max((at for at, soft in met if soft), default=0.0)
    return Purged(soft_at, hard=any(not soft for _, soft in met))


def enter(
    sql: Sql, key: str, columns: Columns, *, now: float, stale_since: float, cost: float
) -> int:
    """Put the row in place of what is under the key; its row id."""
    cursor = sql(
        "INSERT INTO Cache(key, raw, store_time, access_time, stale_since, size, mode, filename,"
        " value, density, worth) VALUES (:key, 1, :now, :now, :stale_since, :size, :mode,"
        " :filename, :value, :density,"
        " :density + (SELECT value FROM Settings WHERE key = 'clock'))"
        " ON CONFLICT(key, raw) DO UPDATE SET store_time = excluded.store_time,"
        " access_time = excluded.access_time, stale_since = excluded.stale_since,"
        " size = excluded.size, mode = excluded.mode, filename = excluded.filename,"
        " value = excluded.value, density = excluded.density, worth = excluded.worth"
        " RETURNING rowid",
        {
            "key": key,
            "now": now,
            "stale_since": stale_since,
            "size": columns.size,
            "mode": columns.mode,
            "filename": columns.filename,
            "value": columns.value,
            "density": density(cost, columns.size),
        },
    )
    ((rowid,),) = cursor.fetchall()
    return int(rowid)


def density(cost: float, size: int) -> float:
    """Seconds to remake per byte, to the next power of two below.

    So coarse that entries which are about as dear are equals, among which use decides.
    """
    return 2.0 ** math.floor(math.log2(cost / size)) if cost > 0 else 0.0


class Victim(NamedTuple):
    """An entry that has to go."""

    rowid: int
    key: str
    filename: str | None
    size: int
    worth: float


def least(sql: Sql, excess: int, *, spare: int, at_most: int) -> list[Victim]:
    """The entries of least worth that make up the excess; of equal worth, the longest unused."""
    query = (
        "SELECT rowid, key, filename, size, worth FROM Cache WHERE rowid <> ?"
        " ORDER BY worth, access_time LIMIT ?"
    )
    chosen = []
    for row in sql(query, (spare, at_most)).fetchall() if excess > 0 else ():
        victim = Victim(*row)
        chosen.append(victim)
        excess -= victim.size
        if excess <= 0:
            break
    return chosen


def victims(sql: Sql, budget: int, *, spare: int, at_most: int) -> list[Victim]:
    """The entries that have to go, so that those which stay fit the budget.

    Worth is the density, on top of a clock that rises to the worth of what was
    evicted last (GreedyDual-Size): what is of no use ages, whatever it cost.
    """
    ((total,),) = sql("SELECT value FROM Settings WHERE key = 'size'").fetchall()
    chosen = least(sql, total - budget, spare=spare, at_most=at_most)
    if chosen:
        sql("UPDATE Settings SET value = MAX(value, ?) WHERE key = 'clock'", (chosen[-1].worth,))
    return chosen


def touch(sql: Sql, keys: Iterable[str], now: float) -> None:
    """These were of use: count their worth from now."""
    for key in keys:
        sql(
            "UPDATE Cache SET access_time = ?, worth = density +"
            " (SELECT value FROM Settings WHERE key = 'clock') WHERE key = ? AND raw = 1",
            (now, key),
        )


def count(sql: Sql, *, hits: int, misses: int) -> None:
    """Add to what is known of how reads went."""
    for name, number in (("hits", hits), ("misses", misses)):
        if number:
            sql("UPDATE Settings SET value = value + ? WHERE key = ?", (number, name))


def recount(sql: Sql) -> None:
    """Count the entries and their bytes anew, one by one."""
    sql("UPDATE Settings SET value = (SELECT COUNT(*) FROM Cache) WHERE key = 'count'")
    sql("UPDATE Settings SET value = (SELECT COALESCE(SUM(size), 0) FROM Cache) WHERE key = 'size'")
