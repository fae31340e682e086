"""Estimate what a run costs, by a sample of its sources in a cache of its own."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from proxy.config import Settings
from proxy.prepare.job import Job
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.renderer import ShardRenderer
from proxy.prepare.report import PreparedRendition
from proxy.prepare.shards import Shard


class RenderedSample(NamedTuple):
    """What became of some sources; ``original_bytes`` are those that were fetched."""

    sources: int
    rows: Sequence[PreparedRendition]
    original_bytes: int

    @property
    def made(self) -> Sequence[PreparedRendition]:
        return [row for row in self.rows if row.state != "failed"]

    @property
    def problems(self) -> Counter[str]:
        return Counter(row.problem for row in self.rows if row.state == "failed")


async def render_sample(
    job: Job, settings: Settings, rows: Iterator[ManifestRow], count: int
) -> RenderedSample:
    """Prepare the first ``count`` rows, which is a sample by chance where they are hashed.

    Nothing of it is kept. Raises ConfigError.
    """
    shard = Shard("sample", tuple(islice(rows, count)))
    # As many sources as processes: so a source waits for no other, and its time is its own.
    alone = replace(job, to="cache", attempts=1, concurrency=settings.render.process_count)
    with tempfile.TemporaryDirectory(prefix="framekeep-sample-") as folder:
        own = replace(settings, cache=replace(settings.cache, dir=folder))
        async with ShardRenderer.open(alone, own) as renderer:
            rendered = await renderer.run(shard)
            return RenderedSample(len(shard.rows), rendered, renderer.original_bytes)


def describe_estimate(
    sample: RenderedSample,
    *,
    sources: int,
    renditions: int,
    cores: int,
    price: float | None = None,
) -> Iterator[str]:
    """Lines about the whole run; ``price`` is that of an hour of one core."""
    made = sample.made
    failed = len(sample.rows) - len(made)
    why = ", ".join(f"{name} {count}" for name, count in sample.problems.most_common(3))
    yield f"sample       {sample.sources} sources: {len(made)} renditions, {failed} failed" + (
        f" ({why})" if why else ""
    )
    if not made:
        yield "estimate     none: nothing in the sample could be rendered"
        return
    share = len(made) / len(sample.rows)
    expected = renditions * share
    core_seconds = sum(row.seconds for row in made) / len(made) * expected
    rendition_bytes = sum(row.bytes for row in made) / len(made)
    yield (
        f"rendering    about {core_seconds / 3600:,.2f} hours of one core, "
        f"{core_seconds / 3600 / cores:,.2f} hours on {cores} cores"
    )
    yield (
        f"output       about {describe_bytes(rendition_bytes * expected)}, "
        f"{describe_bytes(rendition_bytes)} each"
    )
    fetched = sample.original_bytes / sample.sources * sources
    yield f"origins      {sources:,} requests, about {describe_bytes(fetched)}"
    if price is not None:
        yield f"cost         about {core_seconds / 3600 * price:,.2f} for rendering"


def describe_bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
