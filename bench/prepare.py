#!/usr/bin/env python3
"""Prepare many pictures on a Ray cluster, kill what can be killed, and look for what is missing.

    bench/prepare.py                    20,000 pictures in three formats; 20 minutes on two cores
    bench/prepare.py --pictures 1000    a small run
    bench/prepare.py --pictures 1000 --engine local

Starts an origin, a bucket and a Ray cluster of two workers on loopback, each worker with a cache of
its own. While `framekeep prepare` runs, it kills a worker, then the command (which is started
again), then the bucket. One of the pictures ends every render process that reads it, and may cost
its own renditions only. Afterwards a live server answers every other link for three classes of
clients: each has to be a `hit`, and none may ask the origin. Exits with 1 where that is not so.
The pictures are small: what counts here is that nothing is lost. `bench/prepare_speed.py` measures
how fast it is.
"""

import argparse
import asyncio
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

os.environ["VIPS_CONCURRENCY"] = "1"

from aiohttp import ClientSession, ClientTimeout
from PIL import Image
from prepare_pictures import Pictures, origin, presets

from proxy.geometry import Size
from proxy.prepare.job import ACCEPT, DEFAULT_ACCEPT
from proxy.prepare.report import decode_rows
from proxy.prepare.shards import count_shards
from proxy.runtime.event_loop import run

CORES = len(os.sched_getaffinity(0))
BIN = Path(sys.executable).parent
VERIFY_AT_ONCE = 16
MAX_AGAIN = 0.01
DEADLY = "deadly.jpg"
_POLL_SECONDS = 0.2


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
    os.environ |= {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # as everything else on this machine
    }
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


async def verify(base: str, links: Sequence[str], size: Size) -> Counter[str]:
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
                    found["corrupt"] += not is_image(body, size)

        await asyncio.gather(*(ask() for _ in range(VERIFY_AT_ONCE)))
    return found


def is_image(body: bytes, size: Size) -> bool:
    try:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            return image.size == (size.width, size.height)
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


def parse_size(text: str) -> Size:
    width, _, height = text.partition("x")
    return Size(int(width), int(height))


async def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    parser.add_argument(
        "--size", type=parse_size, default=Size(400, 300), help="of the originals in the run"
    )
    parser.add_argument(
        "--card", type=parse_size, default=Size(160, 120), help="of the renditions in the run"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepare-") as name:
        folder = Path(name)
        (folder / "bucket/shared").mkdir(parents=True)
        pictures = Pictures(args.size)
        names = pictures.write(folder / "pictures", args.pictures)
        (folder / "pictures" / DEADLY).write_bytes(pictures.make(args.pictures) + b"DEADLY")
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
        "FRAMEKEEP_LINKS_PRESETS": presets(args.card),
        "FRAMEKEEP_RENDER_NICE": "0",
        "FRAMEKEEP_SHARED_CACHE_URL": "s3://shared/p?region=eu-west-1"
        f"&endpoint=http://127.0.0.1:{port}",
        "FRAMEKEEP_SHARED_CACHE_KEYS": "00" * 32,
        "FRAMEKEEP_SHARED_CACHE_READ_TIMEOUT_SECONDS": "10",
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent / "deadly"), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    manifest, report = folder / "list", folder / "report"
    manifest.write_text("".join(f"{base}/{name}\n" for name in (*names, DEADLY)))
    buckets.append(start_bucket(folder / "bucket", port))
    command = [
        *(str(BIN / "framekeep"), "prepare", str(manifest), "--preset", "card", "--to", "shared"),
        *("--report", str(report), "--report-format", "jsonl"),
        *("--failures", str(folder / "failures")),
    ]
    shards = count_shards(len(names) + 1)

    def kill_bucket() -> bool:
        print("bucket killed", flush=True)
        buckets[-1].kill()
        buckets[-1].wait()
        asyncio.get_running_loop().call_later(
            5, lambda: buckets.append(start_bucket(folder / "bucket", port))
        )
        return True

    def kill_command(current: list[Any]) -> bool:
        print("command killed", flush=True)
        current[0].kill()
        return True

    started = time.monotonic()
    if args.engine == "ray":
        with ray_cluster(folder) as (address, raylets):
            command += ["--engine", "ray", "--ray-address", address]

            def kill_worker() -> bool:
                found = children(raylets, "ray::prepare_shard")
                if found:
                    print("worker killed", flush=True)
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
    again = sum(requests[f"/{name}"] - 1 for name in names)
    before = requests.total()
    links = [f"/_/preset:card/{base}/{name}" for name in names]
    started = time.monotonic()
    async with live_server(folder) as server:
        found = await verify(server, links, args.card)
    failed = failed_rows(report)
    print(f"\n{len(names):,} pictures, {3 * len(names):,} renditions: {seconds:.0f} s")
    print(f"sources fetched again because of the kills: {again} ({again / len(names):.2%})")
    print(f"failed: {dict(Counter(failed))}")
    print(f"live, asked in {time.monotonic() - started:.0f} s: {dict(found)}")
    asked = requests.total() - before
    print(f"requests to the origin meanwhile: {asked}", flush=True)
    is_complete = found["hit"] == 3 * len(names) and not found["corrupt"] and not asked
    has_one_failure = status == 1 and failed == [f"{base}/{DEADLY} render-failed"] * 3
    return 0 if is_complete and has_one_failure and again <= max(MAX_AGAIN * len(names), 30) else 1


def failed_rows(report: Path) -> list[str]:
    """Source and problem of each rendition that is missing."""
    rows = [
        row
        for path in sorted(report.glob("shards/*"))
        for row in decode_rows(path.read_bytes(), "jsonl", path.name)
    ]
    return [f"{row.source} {row.problem}" for row in rows if row.state == "failed"]


if __name__ == "__main__":
    sys.exit(run(main()))
