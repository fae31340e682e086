"""What the tests of caches on disk share."""

from pathlib import Path

from cache.suite import MEGABYTE

from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.store import Entry, Kind


class PatientDiskStore(DiskStore):
    """For tests that look at the disk: `put` waits longer than a second on a busy machine, too."""

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        """Return when the entry is written."""
        await super().put(kind, key, entry, started_at=started_at)
        await self.flush()


def disk_config(folder: Path, budget: int = 64 * MEGABYTE) -> CacheConfig:
    """A cache with a budget for each kind, on a disk that may take a minute."""
    return CacheConfig(
        dir=str(folder),
        max_result_bytes=budget,
        max_original_bytes=budget,
        max_detection_bytes=budget,
        max_metadata_bytes=budget,
        disk_backoff_seconds=0,
        disk_timeout_seconds=60,
    )
