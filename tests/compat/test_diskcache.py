"""The database of the cache, as each thread opens it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from proxy.compat.diskcache import CacheDatabase


def test_the_connection_of_every_thread_keeps_few_pages_in_memory(tmp_path: Path) -> None:
    database = CacheDatabase(tmp_path, busy_seconds=1.0)

    def kibibytes() -> list[tuple[int]]:
        return database.connection.execute("PRAGMA cache_size").fetchall()

    try:
        with ThreadPoolExecutor(1) as other:
            assert kibibytes() == other.submit(kibibytes).result() == [(-256,)]
    finally:
        database.close()
