#!/usr/bin/env python3
"""Compare bytes, CPU time and waiting times with and without "answer now, better later".

    bench/better.py FOLDER                               2,000 pictures, 20,000 requests
    bench/better.py FOLDER --pictures 150 --requests 1500
    bench/better.py FOLDER --against e975fd0             also the encoders of an earlier commit

The pictures are different windows of the photographs in FOLDER. Clients are a mix as sites see
them: 90 % accept AVIF and WebP, 6 % WebP alone, 4 % neither. Each mode has a server of its own with
an empty cache, and all get the same requests in turn:

1. Misses, without anything that runs in the background.
2. A load that follows Zipf's law, with pauses in which popular renditions are replaced. After every
   second request comes a miss, which may meet such work. Its bytes do not count, its time does.

Look: `bench/quality` and `proxy/imaging/optimize.py`, which replaces nothing by what SSIMULACRA2
finds worse.
"""

import argparse
import asyncio
import multiprocessing
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyvips
from spike import Times, run_server, serve_origin

import proc_stats  # isort: skip - spike adds its folder to the path

REPOSITORY = Path(__file__).parents[1]
ROUND = 25
"""Misses of one server, before another one has its turn."""

CLIENTS = {
    "jpeg": (0.04, "convert:jpeg", b""),
    "webp": (0.06, "convert:auto", b"Accept: image/webp\r\n"),
    "avif": (0.90, "convert:auto", b"Accept: image/avif,image/webp\r\n"),
}
MODES: Mapping[str, Mapping[str, str]] = {
    "off": {"FRAMEKEEP_OPTIMIZATION_MODE": "off"},
    "popular": {"FRAMEKEEP_OPTIMIZATION_MODE": "popular"},
    "popular, WebP first": {
        "FRAMEKEEP_OPTIMIZATION_MODE": "popular",
        "FRAMEKEEP_OPTIMIZATION_WEBP_FIRST": "true",
    },
}


def make_windows(folder: Path, count: int) -> list[bytes]:
    """Windows of 640x480 of the photographs, each in a place of its own."""
    random, files = np.random.default_rng(1), sorted(folder.glob("*.jpg"))
    pictures = []
    for index in range(count):
        image = pyvips.Image.thumbnail(
            str(files[index % len(files)]), 900, height=720, crop="centre"
        )
        left, top = (int(random.integers(0, end + 1)) for end in (260, 240))
        pictures.append(image.crop(left, top, 640, 480).jpegsave_buffer(Q=90))
    return pictures


class Server:
    """A server of one mode, and what was measured of it."""

    def __init__(self, mode: str, pid: int, port: int) -> None:
        self.mode = mode
        self.pid = pid
        self.port = port
        self.idle_misses, self.misses = Times(), Times()
        self.miss_cpu_seconds = 0.0
        self.bytes: Counter[str] = Counter()

    async def send(self, request: bytes, times: Times) -> int:
        """The bytes of the body. A new connection: an old one ends while others have their turn."""
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        times.seconds.append(time.perf_counter() - started)
        times.statuses[int(head[9:12])] += 1
        assert head[9:12] == b"200", head
        writer.close()
        await writer.wait_closed()
        return length


def request(client: str, origin_port: int, name: str) -> bytes:
    _, convert, accept = CLIENTS[client]
    path = b"/_/resize:480/%b/http://127.0.0.1:%d/%b.jpg" % (
        convert.encode(),
        origin_port,
        name.encode(),
    )
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, accept)


async def send_misses(servers: Sequence[Server], requests: Sequence[bytes]) -> None:
    for first in range(0, len(requests), ROUND):
        for server in servers:
            start = proc_stats.cpu_seconds(server.pid)
            for one in requests[first : first + ROUND]:
                await server.send(one, server.idle_misses)
            server.miss_cpu_seconds += proc_stats.cpu_seconds(server.pid) - start


async def send_load(
    servers: Sequence[Server],
    load: Sequence[tuple[str, bytes]],
    misses: Sequence[bytes],
    pause: float,
) -> None:
    for index, (client, one) in enumerate(load):
        for server in servers:
            server.bytes[client] += await server.send(one, Times())
        await asyncio.sleep(pause)
        if index % 2:
            for server in servers:
                await server.send(misses[index // 2], server.misses)


async def measure(servers: Sequence[Server], origin_port: int, options: argparse.Namespace) -> None:
    random, ranks = np.random.default_rng(2), np.arange(1, options.pictures + 1)
    names, shares = list(CLIENTS), [share for share, _, _ in CLIENTS.values()]
    chances = (1 / ranks) / (1 / ranks).sum()
    drawn = random.choice(options.pictures, options.requests, p=chances)
    clients = random.choice(names, options.requests, p=shares)
    load = [
        (str(client), request(str(client), origin_port, f"{number}-load"))
        for client, number in zip(clients, drawn, strict=True)
    ]
    first, later = (
        [
            request(str(random.choice(names, p=shares)), origin_port, f"{number}-{kind}{index}")
            for index, number in enumerate(random.integers(0, options.pictures, count))
        ]
        for kind, count in (("first", options.pictures), ("later", options.requests // 2))
    )
    await send_misses(servers, first)
    await send_load(servers, load, later, options.pause)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with an earlier commit of this repository."""
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True)


def start_servers(stack: ExitStack, modes: Sequence[str], against: str | None) -> list[Server]:
    places: list[tuple[str, Mapping[str, str], Path | None]] = [
        (mode, MODES[mode], None) for mode in modes
    ]
    if against is not None:
        places.insert(0, (against, {}, stack.enter_context(checked_out(against))))
    servers = []
    for mode, settings, folder in places:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(run_server(cache, settings, folder))
        servers.append(Server(mode, *running))
    return servers


def report(servers: Sequence[Server]) -> None:
    print(
        "| mode | CPU ms of a miss | p99 ms of misses | p99 ms of misses beside the load "
        "| MB of the load | MB of AVIF clients | MB of WebP clients | MB of others |"
    )
    print("|" + " --- |" * 8)
    for server in servers:
        cpu_ms = server.miss_cpu_seconds / len(server.idle_misses.seconds) * 1000
        waits = [times.percentile_ms(99) for times in (server.idle_misses, server.misses)]
        sizes = [server.bytes.total(), *(server.bytes[name] for name in ("avif", "webp", "jpeg"))]
        cells = [f"{value:.0f}" for value in (cpu_ms, *waits)]
        cells += [f"{size / 1e6:.2f}" for size in sizes]
        print(f"| {server.mode} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="answer now, better later")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds after each request")
    parser.add_argument("--mode", action="append", choices=MODES, help="only this (repeatable)")
    parser.add_argument(
        "--against", metavar="COMMIT", help="the server of an earlier commit as well"
    )
    options = parser.parse_args()
    pictures = make_windows(options.folder, options.pictures)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    origin = context.Process(target=serve_origin, args=(pictures, sending), daemon=True)
    origin.start()
    origin_port = receiving.recv()
    with ExitStack() as stack:
        servers = start_servers(stack, options.mode or list(MODES), options.against)
        asyncio.run(measure(servers, origin_port, options))
        print(
            f"{options.pictures} pictures, {options.requests} requests, "
            f"{options.requests // 2} misses beside them, {proc_stats.describe_machine()}\n"
        )
        report(servers)
    origin.terminate()


if __name__ == "__main__":
    main()
