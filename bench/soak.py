"""Soak test: mixed load for minutes, then killed processes, then a shutdown under load.

    python bench/soak.py                          two minutes, ten kills, SIGTERM
    python bench/soak.py --minutes 60 --kills 0   an hour

Starts its own server and origin on loopback, watches the memory, and prints Markdown. Memory is the
proportional set size (PSS) of all processes of the server, in megabytes.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "speed"))

import aiohttp
from aiohttp import web
from proc_stats import memory_bytes, process_tree

from proxy.server.worker import PROCESS_NAME

BEACH = (files("proxy") / "data" / "demo" / "beach.jpg").read_bytes()
CLIENTS = 16
CACHED_LINKS = 24


@dataclass
class RequestKind:
    """A kind of request: its share of all requests in percent, its link, and the right statuses."""

    share: int
    path: Callable[[str, int], str]
    right: tuple[int, ...]
    seconds: list[float] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        return sum(self.results.values()) - sum(self.results[str(status)] for status in self.right)


def request_kinds() -> dict[str, RequestKind]:
    """The kinds by name; ``path`` takes the URL of the origin and the number of the request."""
    steps = "smart_crop:200:200/sharpen:0.5/convert:webp:85"
    return {
        "cached": RequestKind(
            70, lambda origin, n: f"/_/{steps}/{origin}/a/{n % CACHED_LINKS}.jpg", (200,)
        ),
        "uncached": RequestKind(
            12, lambda origin, n: f"/_/resize:{100 + n % 900}/{origin}/b/{n}.jpg", (200,)
        ),
        "slow source": RequestKind(
            4, lambda origin, n: f"/_/resize:90/{origin}/slow/{n}.jpg", (200,)
        ),
        "missing source": RequestKind(
            4, lambda origin, n: f"/_/resize:90/{origin}/missing/{n}.jpg", (404,)
        ),
        "truncated source": RequestKind(
            4, lambda origin, n: f"/_/resize:90/{origin}/truncated/{n}.jpg", (422,)
        ),
        "wrong link": RequestKind(4, lambda _, n: f"/_/resize:{n}:x/", (400,)),
        "health": RequestKind(2, lambda _, __: "/health/ready", (200, 503)),
    }


async def serve_original(request: web.BaseRequest) -> web.Response:
    match request.path.split("/")[1]:
        case "missing":
            return web.Response(status=404)
        case "truncated":
            return web.Response(body=BEACH[: len(BEACH) // 2])
        case "slow":
            await asyncio.sleep(1)
    return web.Response(body=BEACH)


def process_kind(pid: int) -> str:
    """Return "HTTP worker", "render process", or "" for the supervisor and the fork server."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        parent_command = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return ""
    if name == PROCESS_NAME:
        return "HTTP worker"
    return "render process" if b"proxy.render.fork_server" in parent_command else ""


class Load:
    """Clients that send random requests without a pause."""

    def __init__(self, server: str, origin: str) -> None:
        self.server = server
        self.origin = origin
        self.kinds = request_kinds()
        self.done = False
        self.is_shutting_down = False
        self._number = 0

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        async with aiohttp.ClientSession(self.server, connector=connector) as session:
            await asyncio.gather(*(self._run_client(session) for _ in range(CLIENTS)))

    async def _run_client(self, session: aiohttp.ClientSession) -> None:
        shares = [kind.share for kind in self.kinds.values()]
        while not self.done:
            (kind,) = random.choices(list(self.kinds.values()), shares)
            self._number += 1
            start = time.monotonic()
            try:
                async with session.get(kind.path(self.origin, self._number)) as response:
                    await response.read()
                kind.results[str(response.status)] += 1
                kind.seconds.append(time.monotonic() - start)
            except aiohttp.ClientConnectorError:
                if self.is_shutting_down:  # the server has stopped, as it should
                    return
                kind.results["connection refused"] += 1
                await asyncio.sleep(0.05)
            except aiohttp.ClientError as error:
                kind.results[type(error).__name__] += 1

    @property
    def total(self) -> int:
        return sum(sum(kind.results.values()) for kind in self.kinds.values())

    @property
    def wrong(self) -> int:
        return sum(kind.wrong for kind in self.kinds.values())


async def kill_processes(pid: int, count: int, seconds: float) -> Counter[str]:
    """Kill HTTP workers and render processes below ``pid`` at random, evenly over the time."""
    killed: Counter[str] = Counter()
    for _ in range(count):
        await asyncio.sleep(seconds / count)
        if candidates := [one for one in process_tree(pid) if process_kind(one)]:
            chosen = random.choice(candidates)
            killed[process_kind(chosen)] += 1
            os.kill(chosen, signal.SIGKILL)
    return killed


async def watch_memory(pid: int, seconds: float) -> list[float]:
    """The memory of the process tree in megabytes, once a second."""
    samples: list[float] = []
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        samples.append(memory_bytes(pid) / 2**20)
    return samples


async def main(minutes: float, kills: int, kill_seconds: float) -> None:
    origin = web.ServerRunner(web.Server(serve_original))
    await origin.setup()
    await web.TCPSite(origin, "127.0.0.1", 0).start()
    with tempfile.TemporaryDirectory() as cache:
        settings = {
            "FRAMEKEEP_CACHE_DIR": cache,
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.1/32",
            "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
            "FRAMEKEEP_LOG_LEVEL": "error",
        }
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "serve", "--workers", "2", "--port", "0"),
            stdout=subprocess.PIPE,
            env={**os.environ, **settings},
        )
        assert server.stdout is not None
        line = (await server.stdout.readline()).decode()
        try:
            load = Load(line.split()[-1], f"http://127.0.0.1:{origin.addresses[0][1]}")
            await soak(server, load, minutes * 60, kills, kill_seconds)
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()
    await origin.cleanup()


async def soak(
    server: asyncio.subprocess.Process, load: Load, seconds: float, kills: int, kill_seconds: float
) -> None:
    running = asyncio.create_task(load.run())
    memory = await watch_memory(server.pid, seconds)
    print("| request | responses | wrong | p50 ms | p99 ms | results |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, kind in load.kinds.items():
        p50, p99 = _percentiles_ms(kind.seconds)
        results = ", ".join(f"{result}: {count}" for result, count in kind.results.most_common())
        print(
            f"| {name} | {len(kind.seconds)} | {kind.wrong} | {p50:.0f} | {p99:.0f} | {results} |"
        )
    early, late = memory[len(memory) // 4 : len(memory) // 2], memory[-len(memory) // 4 :]
    growth = statistics.mean(late) / statistics.mean(early) - 1
    print(f"\nMemory: at most {max(memory):.0f} MB; from second to last quarter {growth:+.1%}.")

    if kills:
        total_before, wrong_before = load.total, load.wrong
        killed = await kill_processes(server.pid, kills, kill_seconds)
        await asyncio.sleep(1)
        total, wrong = load.total - total_before, load.wrong - wrong_before
        print(
            f"Kills: {dict(killed)} in {kill_seconds:g} s; {total} requests, {wrong} wrong "
            f"({1 - wrong / total:.2%} right)."
        )

    total_before, wrong_before = load.total, load.wrong
    load.is_shutting_down = True
    start = time.monotonic()
    server.send_signal(signal.SIGTERM)
    status = await server.wait()
    shutdown_seconds = time.monotonic() - start
    load.done = True
    await running
    total, wrong = load.total - total_before, load.wrong - wrong_before
    print(
        f"SIGTERM: exit status {status} after {shutdown_seconds:.1f} s; "
        f"{total} requests meanwhile, {wrong} wrong."
    )


def _percentiles_ms(seconds: list[float]) -> tuple[float, float]:
    if len(seconds) < 2:
        return 0.0, 0.0
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="of load before the kills")
    parser.add_argument(
        "--kills",
        type=int,
        default=10,
        choices=range(101),
        metavar="0-100",
        help="number of processes to kill",
    )
    parser.add_argument("--kill-seconds", type=float, default=8.0, help="in which they are killed")
    options = parser.parse_args()
    asyncio.run(main(options.minutes, options.kills, options.kill_seconds))
