#!/usr/bin/env python3
"""Prepare many pictures on a Ray cluster, kill what can be killed, and look for what is missing.

    bench/prepare.py                    20,000 pictures in three formats; half an hour on six cores
    bench/prepare.py --pictures 1000    a small run
    bench/prepare.py --pictures 1000 --engine local

Starts an origin, a bucket and a Ray cluster of two workers on loopback, each worker with a cache of
its own. While `framekeep prepare` runs, it kills a worker, then the command (which is started
again), then the bucket. Afterwards a live server answers every link for three classes of clients:
each has to be a `hit`, and none may ask the origin. Exits with 1 where that is not so.

The CPU time of one process for a rendition, with fetching and storing it, is compared with a bare
loop that renders the same pictures from memory.
"""

import argparse
import asyncio
import io
import multiprocessing
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ["VIPS_CONCURRENCY"] = "1"

from aiohttp import ClientSession, ClientTimeout, web
from PIL import Image

from proxy.config import Settings, load
from proxy.operations.pipeline import render
from proxy.prepare.job import ACCEPT, DEFAULT_ACCEPT, Job, JobLinks
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.renderer import ShardRenderer
from proxy.prepare.shards import Shard, count_shards
from proxy.render.handlers import get_detector

PRESETS = '{"card": "resize:400:300:cover/convert:auto"}'
CORES = len(os.sched_getaffinity(0))
BIN = Path(sys.executable).parent
VERIFY_AT_ONCE = 16
ROUNDS = 5
_POLL_SECONDS = 0.2


def make_picture(number: int) -> bytes:
    """A part of a photograph; no two are equal."""
    chance = random.Random(number)
    names = ("balloon.jpg", "beach.jpg", "product.jpg")
    folder = Path(str(files("proxy") / "data" / "demo"))
    with Image.open(folder / chance.choice(names)) as photo:
        width = chance.randrange(photo.width // 2, photo.width)
        height = chance.randrange(photo.height // 2, photo.height)
        left = chance.randrange(photo.width - width + 1)
        top = chance.randrange(photo.height - height + 1)
        part = photo.resize((800, 600), box=(left, top, left + width, top + height))
    part.save(target := io.BytesIO(), "JPEG", quality=85)
    return target.getvalue()


@asynccontextmanager
async def origin(folder: Path, requests: Counter[str]) -> AsyncIterator[str]:
    async def respond(request: web.Request) -> web.StreamResponse:
        requests[request.path] += 1
        return web.FileResponse(folder / request.path.strip("/"))

    app = web.Application()
    app.router.add_get("/{name}", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def start_bucket(root: Path, port: int) -> subprocess.Popen[bytes]:
    rclone = shutil.which("rclone", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert rclone is not None, "rclone is not installed"
    return subprocess.Popen(
        [rclone, "serve", "s3", f"--addr=127.0.0.1:{port}", "--auth-key=user,key", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"RCLONE_CONFIG": os.devnull, "HOME": str(root)},
    )


@contextmanager
def ray_cluster(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A head that runs no task, and two workers; yields the address and the pids of the raylets."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    raylets = []
    for number in (1, 2):
        os.environ["FRAMEKEEP_CACHE_DIR"] = str(folder / f"worker-{number}")
        node = cluster.add_node(num_cpus=max(1, CORES // 2))
        raylets.append(node.all_processes["raylet"][0].process.pid)
    try:
        yield cluster.address, raylets
    finally:
        cluster.shutdown()


def children(pids: Sequence[int], name: str) -> list[int]:
    """The children of these processes whose command line begins so."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            is_named = (path / "cmdline").read_bytes().startswith(name.encode())
        except OSError:
            continue
        if parent in pids and is_named:
            found.append(int(path.name))
    return found


class Kills:
    """What is killed, and after which share of the shards."""

    def __init__(self, plan: Sequence[tuple[float, Callable[[], bool]]]) -> None:
        self._plan = list(plan)

    def due(self, share: float) -> None:
        """Kill what is due; what cannot be killed yet is tried again."""
        while self._plan and share >= self._plan[0][0]:
            if not self._plan[0][1]():
                return
            self._plan.pop(0)

    @property
    def left(self) -> int:
        return len(self._plan)


async def prepare(
    command: Sequence[str], report: Path, shards: int, kills_for: Callable[[list[Any]], Kills]
) -> int:
    """Run the command until it ends by itself; a command that was killed is started again."""
    current: list[Any] = [None]
    kills = kills_for(current)
    while True:
        current[0] = process = await asyncio.create_subprocess_exec(*command)
        while process.returncode is None:
            kills.due(count_reports(report) / shards)
            await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=_POLL_SECONDS)
        if process.returncode != -signal.SIGKILL:
            print(f"exit status {process.returncode}, {kills.left} kills left out")
            return process.returncode


def count_reports(report: Path) -> int:
    return len(list(report.glob("shards/*")))


async def verify(base: str, links: Sequence[str]) -> Counter[str]:
    """Request each link for each class of clients; count what is not as it must be."""
    found: Counter[str] = Counter()
    waiting = iter(links)
    async with ClientSession(base, timeout=ClientTimeout(120)) as session:

        async def ask() -> None:
            for link in waiting:
                for name in DEFAULT_ACCEPT:
                    headers = {"Accept": ACCEPT[name].decode()}
                    async with session.get(link, headers=headers) as response:
                        body = await response.read()
                    found[response.headers.get("X-Cache", f"status {response.status}")] += 1
                    type = response.headers["Content-Type"].removeprefix("image/")
                    found[f"as {type} for {name}"] += 1
                    found["corrupt"] += not is_image(body)

        await asyncio.gather(*(ask() for _ in range(VERIFY_AT_ONCE)))
    return found


def is_image(body: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            return image.size == (400, 300)
    except OSError:
        return False


@asynccontextmanager
async def live_server(folder: Path) -> AsyncIterator[str]:
    environment = os.environ | {
        "FRAMEKEEP_CACHE_DIR": str(folder / "live"),
        "FRAMEKEEP_LOG_ACCESS": "none",
        "FRAMEKEEP_SERVER_PORT": str(free_port()),
    }
    process = await asyncio.create_subprocess_exec(BIN / "framekeep", "serve", env=environment)
    base = f"http://127.0.0.1:{environment['FRAMEKEEP_SERVER_PORT']}"
    async with ClientSession() as session:
        while True:
            try:
                async with session.get(f"{base}/health/ready") as response:
                    if response.status == 200:
                        break
            except OSError:
                pass
            await asyncio.sleep(_POLL_SECONDS)
    yield base
    process.terminate()
    await process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def compare(folder: Path, names: Sequence[str], base: str, round: int) -> tuple[float, float]:
    """Renditions per second of CPU time, where one process prepares, and of the bare loop.

    Neighbors on the machine take wall time from one or the other, not CPU time.
    """
    environment = os.environ | {
        "FRAMEKEEP_CACHE_DIR": str(folder / f"compare-{round}"),
        "FRAMEKEEP_RENDER_NICE": "0",  # as the bare loop
    }
    settings = load(environment).settings
    job = Job(presets=("card",), accept=DEFAULT_ACCEPT, to="cache", ttl=86_400.0)
    rows = tuple(ManifestRow(f"{base}/{name}") for name in names)
    async with ShardRenderer.open(job, settings) as renderer:
        await renderer.run(Shard("warm", rows[:CORES]))
        started = cpu_seconds()
        made = await renderer.run(Shard("one", rows[CORES:]))
        seconds = cpu_seconds() - started
    assert {row.state for row in made} == {"made"}
    bare = await asyncio.to_thread(bare_loop, settings, job, folder, names[CORES:])
    return len(made) / seconds, bare


async def print_comparison(folder: Path, names: Sequence[str], base: str) -> None:
    rounds = [await compare(folder, names, base, number) for number in range(ROUNDS)]
    for prepared, bare in rounds:
        print(f"renditions per second of a core: {prepared:.1f}, bare loop {bare:.1f}")
    ratio = statistics.median(prepared / bare for prepared, bare in rounds)
    print(f"ratio to the bare loop, median of {ROUNDS} rounds: {ratio:.2f}")


def cpu_seconds() -> float:
    """CPU time of this process and of all that descend from it, as far as they are running."""
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
    return sum(used[pid] for pid in own) / os.sysconf("SC_CLK_TCK")


def bare_loop(settings: Settings, job: Job, folder: Path, names: Sequence[str]) -> float:
    links = JobLinks.from_settings(job, settings)
    plans = [one.request.plan for one in links.requests(ManifestRow("https://example.com/x"))]
    work = [(folder / "pictures" / name).read_bytes() for name in names]
    with multiprocessing.get_context("spawn").Pool(settings.render.process_count) as pool:
        pool.starmap(render_all, [(work[0], plans, settings)] * CORES, chunksize=1)  # imports
        started = cpu_seconds()
        pool.starmap(render_all, [(body, plans, settings) for body in work], chunksize=1)
        return len(work) * len(plans) / (cpu_seconds() - started)


def render_all(body: bytes, plans: Sequence[Any], settings: Settings) -> None:
    for plan in plans:
        render(body, plan, settings.limits, detector=get_detector(settings.models))


async def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    parser.add_argument("--compared", type=int, default=200, help="pictures of the bare loop")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepare-") as name:
        folder = Path(name)
        for made in ("pictures", "bucket/shared"):
            (folder / made).mkdir(parents=True)
        names = [f"{number}.jpg" for number in range(args.pictures)]
        for number, file in enumerate(names):
            (folder / "pictures" / file).write_bytes(make_picture(number))
        requests: Counter[str] = Counter()
        async with origin(folder / "pictures", requests) as base:
            return await measure(args, folder, names, base, requests)


async def measure(
    args: argparse.Namespace, folder: Path, names: Sequence[str], base: str, requests: Counter[str]
) -> int:
    buckets: list[subprocess.Popen[bytes]] = []
    try:
        return await measure_with(
            args, buckets=buckets, folder=folder, names=names, base=base, requests=requests
        )
    finally:
        for bucket in buckets:
            bucket.kill()
            bucket.wait()


async def measure_with(
    args: argparse.Namespace,
    *,
    buckets: list[subprocess.Popen[bytes]],
    folder: Path,
    names: Sequence[str],
    base: str,
    requests: Counter[str],
) -> int:
    port = free_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "user",
        "AWS_SECRET_ACCESS_KEY": "key",
        "FRAMEKEEP_CACHE_DIR": str(folder / "command"),
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_LINKS_PRESETS": PRESETS,
        "FRAMEKEEP_SHARED_CACHE_URL": "s3://shared/p?region=eu-west-1"
        f"&endpoint=http://127.0.0.1:{port}",
        "FRAMEKEEP_SHARED_CACHE_KEYS": "00" * 32,
        "FRAMEKEEP_SHARED_CACHE_READ_TIMEOUT_SECONDS": "10",
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
    }
    manifest, report = folder / "list", folder / "report"
    manifest.write_text("".join(f"{base}/{name}\n" for name in names))
    buckets.append(start_bucket(folder / "bucket", port))
    command = [
        *(str(BIN / "framekeep"), "prepare", str(manifest), "--preset", "card", "--to", "shared"),
        *("--report", str(report), "--failures", str(folder / "failures")),
    ]
    shards = count_shards(len(names))

    def kill_bucket() -> bool:
        print("bucket killed")
        buckets[-1].kill()
        buckets[-1].wait()
        asyncio.get_running_loop().call_later(
            5, lambda: buckets.append(start_bucket(folder / "bucket", port))
        )
        return True

    def kill_command(current: list[Any]) -> bool:
        print("command killed")
        current[0].kill()
        return True

    started = time.monotonic()
    if args.engine == "ray":
        with ray_cluster(folder) as (address, raylets):
            command += ["--engine", "ray", "--ray-address", address]

            def kill_worker() -> bool:
                found = children(raylets, "ray::")
                if found:
                    print("worker killed")
                    os.kill(found[0], signal.SIGKILL)
                return bool(found)

            status = await prepare(
                command,
                report,
                shards,
                lambda current: Kills(
                    [(0.2, kill_worker), (0.4, lambda: kill_command(current)), (0.7, kill_bucket)]
                ),
            )
    else:
        status = await prepare(
            command,
            report,
            shards,
            lambda current: Kills([(0.3, lambda: kill_command(current)), (0.6, kill_bucket)]),
        )
    seconds = time.monotonic() - started
    again = sum(requests.values()) - len(requests)
    before = requests.total()
    links = [f"/_/preset:card/{base}/{name}" for name in names]
    async with live_server(folder) as server:
        found = await verify(server, links)
    print(f"\n{len(names):,} pictures, {3 * len(names):,} renditions, {seconds:.0f} s")
    print(f"sources fetched again because of the kills: {again} ({again / len(names):.2%})")
    print(f"live: {dict(found)}")
    asked = requests.total()
    print(f"requests to the origin meanwhile: {asked - before}")
    await print_comparison(folder, names[: args.compared + CORES], base)
    is_complete = found["hit"] == 3 * len(names) and not found["corrupt"]
    is_quiet = asked == before
    return 0 if is_complete and is_quiet and status == 0 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
