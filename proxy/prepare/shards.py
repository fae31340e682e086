"""Cut a manifest into shards: about 200 sources each, by the hash of the source.

The rows lie in a temporary database on disk, in the order of their hashes. The same manifest gives
the same shards, and a row that is added changes one of them.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
from msgspec import Struct

from proxy.errors import ConfigError
from proxy.originals import digest
from proxy.prepare.manifest import ManifestRow

SHARD_SOURCES = 200
"""No shard has more sources than this on average, and half of it at least."""

MAX_SLICES = 100_000

_HASH_BITS = 63
_BATCH = 20_000
_SLICE = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", re.ASCII)


class Slice(NamedTuple):
    """A part of the manifest for one of several jobs: ``17/400`` is the 17th of 400."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ConfigError."""
        match = _SLICE.fullmatch(text)
        if match is None or not int(match[1]) <= int(match[2]) <= MAX_SLICES:
            raise ConfigError(
                f"--shard {text}: must be NUMBER/COUNT, such as 17/400, with a number from 1 to "
                f"the count and a count up to {MAX_SLICES:,}"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def has(self, hash: int) -> bool:
        return (hash * self.total) >> _HASH_BITS == self.number - 1


class Shard(Struct, frozen=True):
    """Sources that are prepared together; ``name`` says which of how many it is."""

    name: str
    rows: tuple[ManifestRow, ...]

    def digest(self, fingerprint: str) -> str:
        """Changes with the rows, and with what is made of them."""
        rows = (msgspec.json.encode(row) for row in self.rows)
        return digest(fingerprint.encode(), *rows)


class ShardedManifest:
    """Rows of a manifest by the hash of their source, on disk."""

    def __init__(self, slice: Slice) -> None:
        self._slice = slice
        self._database = sqlite3.connect("")  # a file that SQLite removes
        self._database.executescript(
            "PRAGMA cache_size = -100000;"
            "CREATE TABLE rows (hash INTEGER PRIMARY KEY, row BLOB);"
            "CREATE TABLE names (name TEXT, hash INTEGER)"
        )
        self._batch: dict[int, ManifestRow] = {}
        self._names: list[tuple[str, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def __len__(self) -> int:
        """The number of different sources."""
        self._flush()
        found: int = self._database.execute("SELECT count(*) FROM rows").fetchone()[0]
        return found

    def __iter__(self) -> Iterator[ManifestRow]:
        self._flush()
        for (encoded,) in self._database.execute("SELECT row FROM rows ORDER BY hash"):
            yield msgspec.json.decode(encoded, type=ManifestRow)

    def add(self, row: ManifestRow, name: str = "") -> None:
        """Add a row; ``name`` is that of its files, where it has some.

        Raises ConfigError where the disk is full.
        """
        hash = source_hash(row)
        if name:
            self._names.append((name, hash))
        if self._slice.has(hash):
            known = self._batch.get(hash)
            self._batch[hash] = row if known is None else known.merge(row)
        if len(self._batch) + len(self._names) >= _BATCH:
            self._flush()

    def find_shared_name(self) -> str | None:
        """A name that files of two sources would have."""
        self._flush()
        found = self._database.execute(
            "SELECT name FROM names GROUP BY name HAVING min(hash) <> max(hash) LIMIT 1"
        ).fetchone()
        return None if found is None else str(found[0])

    def shards(self) -> Iterator[Shard]:
        """Yield the shards that have sources, in the order of their names."""
        count = count_shards(len(self))
        first, slices = self._slice
        start = (first - 1) << _HASH_BITS  # of the slice, times the number of slices
        for index in range(count):
            low = _divide_up(start + ((index << _HASH_BITS) // count), slices)
            high = _divide_up(start + (((index + 1) << _HASH_BITS) // count), slices)
            rows = self._database.execute(
                "SELECT row FROM rows WHERE hash BETWEEN ? AND ? ORDER BY hash", (low, high - 1)
            ).fetchall()
            if rows:
                decoded = (msgspec.json.decode(row, type=ManifestRow) for (row,) in rows)
                name = f"{index + 1:06}-of-{count:06}"
                prefix = f"part-{first}-of-{slices}-" if slices > 1 else ""
                yield Shard(f"{prefix}{name}", tuple(decoded))

    def _flush(self) -> None:
        batch, self._batch = self._batch, {}
        names, self._names = self._names, []
        try:
            with self._database:
                self._database.executemany("INSERT INTO names VALUES (?, ?)", names)
                for hash in sorted(batch):
                    self._insert(hash, batch[hash])
        except sqlite3.Error as error:
            raise ConfigError(
                f"the manifest cannot be written to the temporary folder: {error}; name another "
                "one with SQLITE_TMPDIR"
            ) from error

    def _insert(self, hash: int, row: ManifestRow) -> None:
        with suppress(sqlite3.IntegrityError):
            self._database.execute("INSERT INTO rows VALUES (?, ?)", (hash, _encode(row)))
            return
        (encoded,) = self._database.execute(
            "SELECT row FROM rows WHERE hash = ?", (hash,)
        ).fetchone()
        merged = msgspec.json.decode(encoded, type=ManifestRow).merge(row)
        self._database.execute("UPDATE rows SET row = ? WHERE hash = ?", (_encode(merged), hash))


def source_hash(row: ManifestRow) -> int:
    """63 bits of the source and its version."""
    hashed = digest(row.source.encode(), row.version.encode())
    return int(hashed[:16], 16) >> 1


def count_shards(sources: int) -> int:
    """A power of two, so that a few more sources leave the bounds of most shards as they are."""
    count = 1
    while count * SHARD_SOURCES < sources:
        count *= 2
    return count


def _encode(row: ManifestRow) -> bytes:
    return msgspec.json.encode(row)


def _divide_up(number: int, divisor: int) -> int:
    return -(-number // divisor)
