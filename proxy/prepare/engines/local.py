"""All cores of this machine."""

import asyncio

from proxy.config import Settings
from proxy.prepare.engines.engine import NextWork, SaveReport, ShardWork
from proxy.prepare.job import Job
from proxy.prepare.renderer import OnRows, ShardRenderer

_SHARDS_AT_ONCE = 2
"""While the last sources of a shard are rendered, the next shard has begun."""


class LocalEngine:
    async def run(
        self,
        job: Job,
        settings: Settings,
        next_work: NextWork,
        save: SaveReport,
        on_rows: OnRows,
    ) -> None:
        async def run_shards(work: ShardWork | None) -> None:
            while work is not None:
                await save(work.shard, await renderer.run(work.shard, work.known, on_rows))
                work = await next_work()

        first = [await next_work() for _ in range(_SHARDS_AT_ONCE)]
        if first[0] is None:
            return
        async with ShardRenderer.open(job, settings) as renderer:
            runs = [asyncio.ensure_future(run_shards(work)) for work in first]
            try:
                await asyncio.gather(*runs)
            finally:
                for run in runs:
                    run.cancel()
                await asyncio.gather(*runs, return_exceptions=True)
