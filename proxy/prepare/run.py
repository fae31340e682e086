"""One run: shards that are not done go to an engine, and their reports are saved."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from proxy.config import Settings
from proxy.prepare import parquet
from proxy.prepare.engines.engine import Engine, ShardWork
from proxy.prepare.job import Job
from proxy.prepare.report import (
    COLUMNS,
    PreparedRendition,
    ReportStore,
    encode_rows,
)
from proxy.prepare.shards import ShardedManifest
from proxy.prepare.storage import FileHeaders, Storage

_INDEX_HEADERS = {
    "parquet": FileHeaders("application/vnd.apache.parquet", "no-cache"),
    "jsonl": FileHeaders("application/jsonl", "no-cache"),
}


class RunOptions(NamedTuple):
    """``again`` takes no notice of earlier reports; ``retry`` does what failed once more."""

    again: bool = False
    retry: bool = False


class PrepareRun:
    """``skipped`` counts the renditions of shards that were done before."""

    def __init__(
        self,
        job: Job,
        settings: Settings,
        manifest: ShardedManifest,
        reports: ReportStore,
        options: RunOptions,
    ) -> None:
        self._job = job
        self._settings = settings
        self._reports = reports
        self._options = options
        self.manifest = manifest
        self._shards = manifest.shards()
        self._lock = asyncio.Lock()
        self.skipped = self.failed_before = 0
        self.cache_budget = settings.cache.max_result_bytes if job.to == "cache" else None

    async def run(
        self, engine: Engine, on_rows: Callable[[Sequence[PreparedRendition]], None]
    ) -> None:
        """Raises ConfigError or StoreUnavailable."""
        await engine.run(self._job, self._settings, self.next_work, self._reports.save, on_rows)

    async def count_shards(self) -> tuple[int, int]:
        """How many there are, and how many of them are done. Raises StoreUnavailable."""
        await self._reports.open()
        done = [self._reports.has(shard) for shard in self.manifest.shards()]
        return len(done), sum(done)

    async def next_work(self) -> ShardWork | None:
        """The next shard that is not done; None at the end."""
        async with self._lock:
            for shard in self._shards:
                known = [] if self._options.again else await self._reports.load(shard)
                if not known:
                    return ShardWork(shard)
                failed = sum(row.state == "failed" for row in known)
                self.skipped += len(known) - failed
                if failed and self._options.retry:
                    return ShardWork(shard, tuple(known))
                self.failed_before += failed
            return None

    async def write_index(self, storage: Storage, name: str) -> None:
        """List the files of all shards in one file. Raises StoreUnavailable."""
        format = self._reports.format
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            if format == "parquet":
                with parquet.ParquetWriter(path, COLUMNS) as writer:
                    async for rows in self._files():
                        writer.write(map(msgspec.to_builtins, rows))
            else:
                with path.open("wb") as file:
                    async for rows in self._files():
                        file.write(encode_rows(rows, "jsonl"))
            await storage.write(name, path, _INDEX_HEADERS[format])

    async def _files(self) -> AsyncIterator[list[PreparedRendition]]:
        """The renditions of each shard, as far as there are any."""
        for shard in self.manifest.shards():
            rows = await self._reports.load(shard)
            if rows:
                yield [row for row in rows if row.state != "failed"]
