"""diskcache's database file, opened with connections of our own."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import diskcache

from proxy.compat import check, has_all, sets_all

check(
    "diskcache",
    {
        "Cache reads its connection from the property _con": isinstance(
            vars(diskcache.Cache).get("_con"), property
        ),
        "Cache has the attributes that are used": sets_all(
            diskcache.Cache.__init__, ("_local", "_timeout")
        ),
        "Disk has the methods that are overridden": has_all(
            diskcache.Disk, ("put", "get", "store", "fetch")
        ),
        "core.DBNAME is the name of the database": isinstance(diskcache.core.DBNAME, str),
    },
)

DATABASE_NAME: str = diskcache.core.DBNAME


_PAGE_CACHE = -256
"""KiB of pages that each connection keeps; each thread has one for each kind of entries.

The system's page cache has them too. With 2 MiB, SQLite's default, reads take the same CPU time
(93 and 96 µs of a cache with 100,000 entries), and reading one kind 11 MB of memory instead of 3.5.
"""


class _NoSerialization(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Rejects keys and values: diskcache's own reads and writes are not used."""

    def put(self, *args: Any, **options: Any) -> Any:
        raise TypeError("diskcache does not serialize here")

    get = store = fetch = put


class CacheDatabase(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
    """diskcache's tables and triggers in a folder. Each thread has its own connection.

    diskcache's `close` closes only the connection of the calling thread; this one closes all.
    """

    def __init__(self, folder: Path, *, busy_seconds: float) -> None:
        """``busy_seconds`` is how long a write waits for another writer."""
        self._connections: list[sqlite3.Connection] = []
        self._path = folder / DATABASE_NAME
        super().__init__(
            str(folder),
            timeout=busy_seconds,
            disk=_NoSerialization,
            eviction_policy="none",
            sqlite_auto_vacuum=2,  # incremental: FULL moves pages at every removal
            sqlite_mmap_size=0,
            sqlite_cache_size=_PAGE_CACHE,
        )

    @property
    def connection(self) -> sqlite3.Connection:
        """The calling thread's connection, without implicit transactions."""
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False
            )
            self._connections.append(connection)
            for pragma in (
                "synchronous = NORMAL",
                "mmap_size = 0",
                f"cache_size = {_PAGE_CACHE}",
                "temp_store = MEMORY",
                "wal_autocheckpoint = 256",  # pages: the log stays small, for small disks
            ):
                connection.execute(f"PRAGMA {pragma}")
            self._local.con = connection
        return connection

    _con = connection

    def close(self) -> None:
        """Close the connections of all threads; none may be in use."""
        self._local = threading.local()
        while self._connections:
            self._connections.pop().close()
