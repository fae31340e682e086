"""Rows of the table of a cache on disk: what is read, and what is written."""

import secrets
from typing import NamedTuple, Self

from proxy.cache.disk_index import Columns
from proxy.cache.envelope import Envelope
from proxy.cache.files import BodyFiles
from proxy.cache.store import Entry, Kind

_FILE_BYTES = 32 * 1024  # bodies of this size or more are files
_ROW_BYTES = 512  # of an entry beside its bytes: row, tags, and their indices
IN_ROW, IN_FILE = 1, 2  # where the body lies: the column `mode`


class Row(NamedTuple):
    rowid: int
    key: str
    stored_at: float
    soft_purged_at: float
    mode: object
    filename: str | None
    value: bytes

    @property
    def is_valid(self) -> bool:
        """Whether the columns have the right types: SQLite itself does not enforce them."""
        return (
            type(self.stored_at) is float
            and type(self.soft_purged_at) is float
            and type(self.filename) in {str, type(None)}
            and type(self.value) is bytes
        )


class NewEntry(NamedTuple):
    """What is to be stored; the arguments of `DiskTable.put`."""

    key: str
    entry: Entry
    started_at: float | None = None


class PreparedWrite(NamedTuple):
    key: str
    entry: Entry
    envelope: bytes
    started_at: float | None

    @classmethod
    def wrap(cls, kind: Kind, new: NewEntry) -> Self:
        """Raises OSError where the body cannot be read."""
        key, entry, started_at = new
        return cls(key, entry, Envelope.wrap(kind, key, entry).encode(), started_at)

    @property
    def size(self) -> int:
        return len(self.envelope) + len(self.entry.body) + _ROW_BYTES

    def stage(self, files: BodyFiles) -> Columns:
        """The columns of the row; a large body is staged as a file. Raises OSError."""
        body = self.entry.body
        if len(body) < _FILE_BYTES:
            inline = body if isinstance(body, bytes) else body.read()
            return Columns(self.size, IN_ROW, None, self.envelope + inline)
        # 256 folders: a new one for nearly each body would take 0.2 ms.
        name = secrets.token_hex(16)
        filename = f"0{name[0]}/0{name[1]}/{name[2:]}.val"
        files.stage(filename, body)
        return Columns(self.size, IN_FILE, filename, self.envelope)


SELECT_ROW = (
    "SELECT rowid, key, store_time, MAX(soft_purged_at, (SELECT CASE WHEN store_time <= value"
    " THEN value ELSE 0.0 END FROM Settings WHERE Settings.key = 'all_soft_purged_at')),"
    " mode, filename, value FROM Cache"
)
