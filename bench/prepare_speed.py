#!/usr/bin/env python3
"""Compare `framekeep prepare` with a bare loop that decodes each original once.

    bench/prepare_speed.py                  100 originals of each of three sizes
    bench/prepare_speed.py --pictures 20    a small run

Compared is the CPU time of all processes for a rendition, with fetching and storing it, and that of
a loop that reads files and calls the function that render processes call. Originals have the sizes
that sites have.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["VIPS_CONCURRENCY"] = "1"

from prepare_pictures import Pictures, origin, presets

from proxy.config import Settings, load
from proxy.geometry import Size
from proxy.operations.batch import render_all
from proxy.prepare.job import DEFAULT_ACCEPT, Job, JobLinks
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.renderer import ShardRenderer
from proxy.prepare.shards import Shard
from proxy.render.handlers import get_detector
from proxy.runtime.event_loop import run

CORES = len(os.sched_getaffinity(0))
ROUNDS = 5
COMPARED = (Size(800, 600), Size(1600, 1200), Size(4000, 3000))


def serve(folder: Path, connection: Any) -> None:
    """An origin in a process of its own, whose CPU time is not counted."""

    async def run() -> None:
        async with origin(folder, Counter()) as base:
            connection.send(base)
            await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def origin_process(folder: Path) -> Iterator[tuple[str, int]]:
    """Yields the address and the pid."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(folder, theirs), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield ours.recv(), process.pid
    finally:
        process.kill()
        process.join()


async def compare(
    folder: Path, names: Sequence[str], base: str, origin: int, round: int
) -> tuple[float, float]:
    """Renditions per second of CPU time, where one process prepares, and of the bare loop.

    Neighbors on the machine take wall time from one or the other, not CPU time.
    """
    environment = os.environ | {
        "FRAMEKEEP_CACHE_DIR": str(folder.with_name(f"{folder.name}-cache-{round}")),
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_LINKS_PRESETS": presets(Size(400, 300)),
        "FRAMEKEEP_RENDER_NICE": "0",  # as the bare loop
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
    }
    settings = load(environment).settings
    job = Job(presets=("card",), accept=DEFAULT_ACCEPT, to="cache", ttl=86_400.0)
    rows = tuple(ManifestRow(f"{base}/{name}") for name in names)
    async with ShardRenderer.open(job, settings) as renderer:
        await renderer.run(Shard("warm", rows[:CORES]))
        started = cpu_seconds(origin)
        made = await renderer.run(Shard("one", rows[CORES:]))
        seconds = cpu_seconds(origin) - started
    failed = [row for row in made if row.state == "failed"]
    assert not failed, failed[:3]
    bare = await asyncio.to_thread(bare_loop, settings, job, folder, names, origin)
    return len(made) / seconds, bare


async def print_comparison(size: Size, count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="prepare-") as name:
        folder = Path(name) / "pictures"
        names = Pictures(size).write(folder, count + CORES)
        with origin_process(folder) as (base, pid):
            rounds = [await compare(folder, names, base, pid, number) for number in range(ROUNDS)]
    prepared, bare = (statistics.median(found) for found in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    print(
        f"originals of {size}: {prepared:.1f} renditions per second of a core, bare loop "
        f"{bare:.1f}; ratio, median of {ROUNDS} rounds: {ratio:.3f}",
        flush=True,
    )


def cpu_seconds(without: int) -> float:
    """CPU time of this process and of all that descend from it and are running, except one."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
        used[int(path.name)] = int(fields[11]) + int(fields[12])
    own = {os.getpid()}
    while found := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= found
    return sum(used[pid] for pid in own - {without}) / os.sysconf("SC_CLK_TCK")


def bare_loop(
    settings: Settings, job: Job, folder: Path, names: Sequence[str], origin: int
) -> float:
    links = JobLinks.from_settings(job, settings)
    plans = [one.request.plan for one in links.requests(ManifestRow("https://example.com/x"))]
    work = [(folder / name, plans, settings) for name in names]
    with multiprocessing.get_context("spawn").Pool(settings.render.process_count) as pool:
        pool.starmap(render_file, [work[0]] * 2 * CORES, chunksize=1)  # imports
        started = cpu_seconds(origin)
        pool.starmap(render_file, work[CORES:], chunksize=1)
        return len(work[CORES:]) * len(plans) / (cpu_seconds(origin) - started)


def render_file(path: Path, plans: Sequence[Any], settings: Settings) -> None:
    detector = get_detector(settings.models)
    render_all(path.read_bytes(), plans, settings.limits, detector=detector)


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=100, help="of each size")
    args = parser.parse_args()
    if args.pictures < 1:
        parser.error("--pictures is at least 1")
    for size in COMPARED:
        await print_comparison(size, args.pictures)


if __name__ == "__main__":
    run(main())
