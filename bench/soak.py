"""Soak test: mixed load for minutes, then killed processes, then a shutdown under load.

    bench/soak.py                            two minutes, ten kills, SIGTERM
    bench/soak.py --minutes 60 --kills 0 --spike-minutes 10 --requests-per-second 40
                                             an hour, each 10 minutes a spike and neighbors

Starts its own server and origin on loopback, watches the memory, and prints Markdown. Memory is the
proportional set size (PSS) of all processes of the server, in megabytes.

In a spike, 500 callers send 2,000 distinct uploads, beside two busy loops for each core that run
for a minute. Responses to a spike are right if they are 200.
"""

import argparse
import asyncio
import itertools
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
from spike import make_pictures, run_callers, upload_request

from proxy.server.worker import PROCESS_NAME

BEACH = (files("proxy") / "data" / "demo" / "beach.jpg").read_bytes()
CLIENTS = 16
CACHED_LINKS = 24
SPIKE_CALLERS, SPIKE_PICTURES = 500, 2000
NEIGHBOR_SECONDS = 60
IDLE_SECONDS = 10
NEIGHBOR_CODE = "import time\nend = time.time() + {seconds}\nwhile time.time() < end: pass"


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
    """Clients that send random requests, each as soon as it has the response to the last one.

    With ``requests_per_second`` they pause, so that there are at most so many.
    """

    def __init__(self, server: str, origin: str, requests_per_second: float | None = None) -> None:
        self.server = server
        self.origin = origin
        self.kinds = request_kinds()
        self._pause = CLIENTS / requests_per_second if requests_per_second else 0.0
        self.done = False
        self.is_shutting_down = False
        self.is_allowed = asyncio.Event()
        """Clients send requests while this is set."""
        self.is_allowed.set()
        self._number = 0

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        async with aiohttp.ClientSession(self.server, connector=connector) as session:
            await asyncio.gather(*(self._run_client(session) for _ in range(CLIENTS)))

    async def _run_client(self, session: aiohttp.ClientSession) -> None:
        shares = [kind.share for kind in self.kinds.values()]
        while not self.done:
            await asyncio.sleep(random.uniform(0, 2 * self._pause))
            await self.is_allowed.wait()
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


async def run_spikes(port: int, every_seconds: float, results: Counter[int]) -> None:
    """Send a spike and start busy neighbors again and again, until cancelled."""
    pictures = make_pictures(SPIKE_PICTURES, seed=2)
    code = NEIGHBOR_CODE.format(seconds=NEIGHBOR_SECONDS)
    for number in itertools.count():
        await asyncio.sleep(every_seconds / 2)
        neighbors = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", code)
            for _ in range(2 * (os.cpu_count() or 1))
        ]
        requests = [upload_request(picture + b"%d" % number) for picture in pictures]
        results.update((await run_callers(port, requests, SPIKE_CALLERS)).statuses)
        for neighbor in neighbors:
            await neighbor.wait()
        await asyncio.sleep(every_seconds / 2)


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


def memory_megabytes(pid: int) -> float:
    return memory_bytes(pid) / 2**20


async def watch_memory(pid: int, seconds: float) -> list[float]:
    """The memory of the process tree in megabytes, once a second."""
    samples: list[float] = []
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        samples.append(memory_megabytes(pid))
    return samples


async def measure_idle_memory(pid: int, load: Load) -> float:
    """The memory of the process tree in megabytes when it has had no request for a while."""
    load.is_allowed.clear()
    await asyncio.sleep(IDLE_SECONDS)
    try:
        return memory_megabytes(pid)
    finally:
        load.is_allowed.set()


async def main(options: argparse.Namespace) -> None:
    origin = web.ServerRunner(web.Server(serve_original))
    await origin.setup()
    await web.TCPSite(origin, "127.0.0.1", 0).start()
    with tempfile.TemporaryDirectory() as cache:
        settings = {
            "FRAMEKEEP_CACHE_DIR": cache,
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_API_KEYS": "spike",
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
            origin_url = f"http://127.0.0.1:{origin.addresses[0][1]}"
            load = Load(line.split()[-1], origin_url, options.requests_per_second)
            await soak(server, load, options)
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()
    await origin.cleanup()


async def soak(server: asyncio.subprocess.Process, load: Load, options: argparse.Namespace) -> None:
    await asyncio.sleep(IDLE_SECONDS)
    at_start = memory_megabytes(server.pid)
    running = asyncio.create_task(load.run())
    spikes: Counter[int] = Counter()
    port = int(load.server.rpartition(":")[2])
    if options.spike_minutes:
        spiking = asyncio.create_task(run_spikes(port, options.spike_minutes * 60, spikes))
    memory = await watch_memory(server.pid, options.minutes * 60)
    idle = await measure_idle_memory(server.pid, load)
    if options.spike_minutes:
        spiking.cancel()
        print(f"Spikes: {', '.join(f'{status}: {count}' for status, count in spikes.items())}\n")
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
    print(
        f"\nMemory: {at_start:.0f} MB after the start, at most {max(memory):.0f} MB under load, "
        f"{idle:.0f} MB {IDLE_SECONDS} s after it; from second to last quarter {growth:+.1%}."
    )

    if options.kills:
        total_before, wrong_before = load.total, load.wrong
        killed = await kill_processes(server.pid, options.kills, options.kill_seconds)
        await asyncio.sleep(1)
        total, wrong = load.total - total_before, load.wrong - wrong_before
        print(
            f"Kills: {dict(killed)} in {options.kill_seconds:g} s; {total} requests, {wrong} wrong "
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
    parser.add_argument(
        "--spike-minutes", type=float, default=0.0, help="between two spikes; 0 for none"
    )
    parser.add_argument("--requests-per-second", type=float, help="beside the spikes; at most")
    asyncio.run(main(parser.parse_args()))
