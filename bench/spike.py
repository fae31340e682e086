#!/usr/bin/env python3
"""Send a spike of distinct pictures, and watch who is answered, and how others fare meanwhile.

    bench/spike.py                                 1,000 pictures by 64, 200, 500, 1,000 callers
    bench/spike.py --pictures 10000 --callers 500  the goal of the project
    bench/spike.py --kinds chain --callers 200

Each caller sends its next picture when it has the answer to the last one: as ``uploads`` to the
API of Azure (generateThumbnail, cover), as ``links`` (cover), or as a ``chain``, links with a smart
crop, sharpen and WebP. Meanwhile two separate connections ask for a cached link and for
/health/live, up to forty times a second each. The first row, 16 callers, is what the throughput of
the others is compared with.

Everything runs on loopback and on the same cores: the callers and the origin take their share.
Memory is the proportional set size (PSS) of all processes of the server.
"""

import argparse
import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Literal, TypeVar

sys.path.insert(0, str(Path(__file__).parent / "speed"))

import numpy as np
import pyvips
from aiohttp import web
from proc_stats import describe_machine, watch_peak_memory

Kind = Literal["uploads", "links", "chain"]
KINDS: tuple[Kind, ...] = ("uploads", "links", "chain")
T = TypeVar("T")

BASELINE_CALLERS = 16
BASELINE_SHARE = 5
"""One of this many pictures is sent in the baseline."""

PROBE_SECONDS = 0.025
CALLER_TIMEOUT_SECONDS = 180
STEPS = {"links": "resize:100:100:cover", "chain": "smart_crop:100:100/sharpen:0.5/convert:webp:85"}


def make_pictures(count: int, seed: int) -> list[bytes]:
    """Distinct JPEGs of 280x220: a soft background and an object of another color."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = pyvips.Image.new_from_memory(small.tobytes(), 8, 6, 3, "uchar").resize(
            35, vscale=220 / 6
        )
        left, top, side = (int(random.integers(*span)) for span in ((0, 200), (0, 140), (20, 80)))
        image = image.crop(0, 0, 280, 220).draw_rect(
            [int(one) for one in random.integers(0, 256, 3)], left, top, side, side, fill=True
        )
        pictures.append(image.write_to_buffer(".jpg", Q=85))
    return pictures


@dataclass
class Times:
    """Seconds of the answers, and how many there were by status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.seconds)
        if not ordered:
            return float("nan")
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class Connection:
    """One kept connection to the server; plain bytes, because a client library costs more CPU."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> int:
        """The status of the answer; 0 where the connection fails."""
        try:
            async with asyncio.timeout(CALLER_TIMEOUT_SECONDS):
                return await self._send(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._reader = None
            return 0

    async def _send(self, request: bytes) -> int:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length or 0))
        if b"connection: close" in head:
            self._reader = None
        return int(head[9:12])


def upload_request(picture: bytes) -> bytes:
    head = (
        "POST /vision/v3.2/generateThumbnail?width=100&height=100&smartCropping=false HTTP/1.1\r\n"
        "Host: a\r\nOcp-Apim-Subscription-Key: spike\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(picture)}\r\n\r\n"
    )
    return head.encode() + picture


def link_request(steps: str, origin: int, number: str) -> bytes:
    path = f"/_/{steps}/http://127.0.0.1:{origin}/{number}.jpg"
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def run_callers(port: int, requests: list[bytes], callers: int) -> Times:
    """Send all requests, each caller one after the other."""
    times, waiting = Times(), iter(requests)

    async def call() -> None:
        connection = Connection(port)
        for request in waiting:
            started = time.perf_counter()
            times.statuses[await connection.send(request)] += 1
            times.seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(call() for _ in range(callers)))
    return times


async def run_probe(port: int, request: bytes, stopped: Event) -> Times:
    """Send the same request again and again until the spike is over."""
    times, connection = Times(), Connection(port)
    while not stopped.is_set():
        started = time.perf_counter()
        times.statuses[await connection.send(request)] += 1
        times.seconds.append(time.perf_counter() - started)
        await asyncio.sleep(PROBE_SECONDS)
    return times


async def run_probes(port: int, requests: list[bytes], stopped: Event) -> list[Times]:
    return await asyncio.gather(*(run_probe(port, request, stopped) for request in requests))


def serve_origin(pictures: list[bytes], port: Pipe) -> None:
    """Answer every path with the picture of its number."""

    async def respond(request: web.BaseRequest) -> web.Response:
        number = int(request.path.rpartition("/")[2].partition("-")[0])
        return web.Response(body=pictures[number], content_type="image/jpeg")

    async def serve() -> None:
        runner = web.ServerRunner(web.Server(respond))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def run_server(
    cache: Path, more: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[int, int]]:
    """The server with its defaults and ``more`` settings; its pid and port.

    ``folder`` is that of another version of this repository.
    """
    settings = {
        "FRAMEKEEP_CACHE_DIR": str(cache),
        "FRAMEKEEP_SERVER_PORT": "0",
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_API_KEYS": "spike",
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.1/32",
        "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
        "FRAMEKEEP_LOG_LEVEL": "error",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "serve"],
        stdout=subprocess.PIPE,
        env={**os.environ, **settings, **(more or {})},
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        yield process.pid, int(line.split()[-1].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


def measure(
    pids: Sequence[int], port: int, requests: list[bytes], callers: int, probes: list[bytes]
) -> tuple[Times, list[Times], float, float]:
    """The answers, those of the probes, requests per second, and the peak memory in MB."""
    context = multiprocessing.get_context("fork")
    stopped = context.Event()
    with ProcessPoolExecutor(2, context, initializer=set_event, initargs=(stopped,)) as pool:
        probing = pool.submit(in_process, run_probes, port, probes)
        with watch_peak_memory(*pids, interval_seconds=0.5) as memory:
            started = time.perf_counter()
            times = pool.submit(in_process, run_callers, port, requests, callers).result()
            seconds = time.perf_counter() - started
        stopped.set()
        return times, probing.result(), len(requests) / seconds, memory.highest / 2**20


_stopped: Event


def set_event(stopped: Event) -> None:
    global _stopped  # noqa: PLW0603 - an event reaches a process of a pool in no other way
    _stopped = stopped


def in_process(function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    extra = (_stopped,) if function is run_probes else ()
    return asyncio.run(function(*arguments, *extra))


def report(callers: int, times: Times, probes: list[Times], rate: float, share: float) -> str:
    answered = times.statuses[200]
    others = ", ".join(f"{status}: {n}" for status, n in times.statuses.items() if status != 200)
    hits, health = probes
    wrong = sum(n for one in probes for status, n in one.statuses.items() if status != 200)
    return (
        f"| {callers} | {answered} | {others or 'none'} | {times.percentile_ms(50):.0f} "
        f"| {times.percentile_ms(99):.0f} | {rate:.0f} | {share:.2f} | {{memory:.0f}} "
        f"| {hits.percentile_ms(99):.1f} | {health.percentile_ms(99):.1f} | {wrong} |"
    )


def run_spike(kind: Kind, counts: list[int], picture_count: int) -> None:
    pictures = make_pictures(picture_count, seed=1)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    origin = context.Process(target=serve_origin, args=(pictures, sending), daemon=True)
    origin.start()
    origin_port = receiving.recv()
    with tempfile.TemporaryDirectory() as cache, run_server(Path(cache)) as (pid, port):
        hit = link_request(STEPS["links"], origin_port, "0-hit")
        probes = [hit, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"]
        assert asyncio.run(run_callers(port, probes, 1)).statuses == {200: 2}
        print(f"\n{kind}: {picture_count} pictures of 280x220, {describe_machine()}\n")
        print(
            "| callers | answered | others | p50 ms | p99 ms | per second | of baseline "
            "| memory MB | hits p99 ms | health p99 ms | wrong probes |"
        )
        print("|" + " --- |" * 11)
        baseline = 0.0
        for number, callers in enumerate((BASELINE_CALLERS, *counts)):
            used = pictures[:: BASELINE_SHARE if callers == BASELINE_CALLERS else 1]
            requests = [
                upload_request(picture + b"%d" % number)
                if kind == "uploads"
                else link_request(STEPS[kind], origin_port, f"{index}-{number}")
                for index, picture in enumerate(used)
            ]
            times, probed, rate, memory = measure([pid], port, requests, callers, probes)
            baseline = baseline or rate
            row = report(callers, times, probed, rate, rate / baseline)
            print(row.format(memory=memory), flush=True)
    origin.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="a spike of distinct pictures")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--callers", type=int, nargs="+", default=[64, 200, 500, 1000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["uploads", "links"])
    options = parser.parse_args()
    for kind in options.kinds:
        run_spike(kind, options.callers, options.pictures)


if __name__ == "__main__":
    main()
