#!/usr/bin/env python3
"""Measure what `framekeep capacity` calculates with, and compare what it calculates with a load.

    bench/capacity.py                            two minutes, the demo photographs
    bench/capacity.py FOLDER --requests 60000 --figures measured.json
    framekeep capacity --figures measured.json --requests-per-day 100M

First single events are measured on a server with an empty cache: misses of each kind of client, one
after the other, and hits. Then a load follows: requests by Zipf's law for sizes of many pictures go
to the caches of a small CDN, each of which forgets what was not requested for longest; what they
do not have reaches the server. The table has what the load took beside what the model calculates
from the single events and from the shares of hits. With rclone on this machine the server shares
its renditions through a bucket, whose requests are counted.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyvips
from aiohttp import web
from spike import run_server

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import proc_stats  # isort: skip - spike adds its folder to the path
from fault_proxy import FaultProxy
from s3_server import CREDENTIALS, RCLONE, s3_server

from proxy.cli.capacity_model import DAY_SECONDS, Figures, Machines, RenditionKind, Site, calculate
from proxy.cli.capacity_table import format_bytes, format_number

KINDS = {"avif": (0.90, b"image/avif,image/webp,*/*"), "webp": (0.06, b"image/webp,*/*"),
         "jpeg": (0.04, b"*/*")}  # fmt: skip
"""Share of all clients, and what they accept."""

WIDTHS = (240, 480, 800)
SIZE = (1600, 1200)
CALLERS = 8
MISSES_OF_A_KIND = 36
HITS = 4000
EDGES = 4


class Link(NamedTuple):
    """A rendition: the number of its picture, its width, and the kind of client."""

    picture: int
    width: int
    kind: str


class Pictures:
    """Windows of photographs, made when they are fetched; each number has its own."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.jpg"))
        if not paths:
            raise SystemExit(f"{folder}: has no JPEG")
        self._photographs = [
            pyvips.Image.thumbnail(str(path), 2000, height=1500, crop="centre").copy_memory()
            for path in paths[:24]
        ]
        self.fetches, self.bytes = 0, 0

    def fetch(self, number: int) -> bytes:
        random = np.random.default_rng(number)
        photograph = self._photographs[number % len(self._photographs)]
        left, top = (
            int(random.integers(0, have - need + 1))
            for have, need in zip((2000, 1500), SIZE, strict=True)
        )
        body = bytes(photograph.crop(left, top, *SIZE).jpegsave_buffer(Q=88))
        self.fetches, self.bytes = self.fetches + 1, self.bytes + len(body)
        return body


class Edge:
    """One cache of the CDN: a number of links, the longest unused of which is forgotten."""

    def __init__(self, size: int) -> None:
        self._links: OrderedDict[Link, None] = OrderedDict()
        self._size = size

    def has(self, link: Link) -> bool:
        known = link in self._links
        self._links[link] = None
        self._links.move_to_end(link)
        if len(self._links) > self._size:
            self._links.popitem(last=False)
        return known


class Answers:
    """What the server answered: how often, and how many bytes."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.bytes = 0
        self.sizes: dict[Link, int] = {}


class Totals(NamedTuple):
    """Everything that is counted, from the start of the server."""

    cpu_seconds: float
    disk_bytes: int
    fetches: int
    fetched_bytes: int
    reads: int
    writes: int
    lists: int

    def since(self, before: "Totals") -> "Totals":
        return Totals(*(now - then for now, then in zip(self, before, strict=True)))


class Bench:
    """The server, its origin and its bucket."""

    def __init__(
        self,
        server: tuple[int, int],
        cache: Path,
        origin: int,
        pictures: Pictures,
        bucket: FaultProxy | None,
    ) -> None:
        """``server`` is its pid and port, ``origin`` a port."""
        self._pid, self._port = server
        self._cache, self._origin = cache, origin
        self._pictures, self._bucket = pictures, bucket

    def totals(self) -> Totals:
        requests = Counter[str]()
        if self._bucket is not None:
            for request, count in self._bucket.requests.items():
                is_list = request.method == "GET" and request.path.count("/") < 2
                requests["LIST" if is_list else request.method] += count
        # The log of the database is of a fixed size.
        files = (
            path
            for path in self._cache.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        )
        return Totals(
            proc_stats.cpu_seconds(self._pid),
            sum(path.stat().st_blocks * 512 for path in files),
            self._pictures.fetches,
            self._pictures.bytes,
            requests["GET"] + requests["HEAD"],
            requests["PUT"],
            requests["LIST"],
        )

    def memory(self) -> int:
        return proc_stats.memory_bytes(self._pid)

    async def settle(self) -> Totals:
        """Wait until the bucket has everything and nothing is computed any more."""
        before = self.totals()
        while True:
            await asyncio.sleep(1.5)
            now = self.totals()
            if now.writes == before.writes and now.cpu_seconds - before.cpu_seconds < 0.05:
                return now
            before = now

    async def send(self, links: Sequence[Link], callers: int = CALLERS) -> Answers:
        answers, waiting = Answers(), iter(links)

        async def call() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            for link in waiting:
                writer.write(
                    b"GET /_/resize:%d/convert:auto/http://127.0.0.1:%d/%d.jpg HTTP/1.1\r\n"
                    b"Host: a\r\nAccept: %b\r\n\r\n"
                    % (link.width, self._origin, link.picture, KINDS[link.kind][1])
                )
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert head[9:12] == b"200", head
                length = int(_header(head, b"content-length"))
                await reader.readexactly(length)
                answers.states[_header(head, b"x-cache").decode()] += 1
                answers.bytes += length
                answers.sizes[link] = length
            writer.close()

        await asyncio.gather(*(call() for _ in range(callers)))
        return answers


def _header(head: bytes, name: bytes) -> bytes:
    return head.partition(b"\r\n%b: " % name)[2].partition(b"\r\n")[0]


async def measure_events(bench: Bench) -> Figures:
    """CPU, bytes, disk and bucket requests of single misses and hits."""
    await bench.send([Link(0, 200, kind) for kind in KINDS])  # what is loaded only once
    start = await bench.settle()
    kinds, sent, number = {}, 0, 1
    body_bytes, before = 0, start
    for kind, (share, _) in KINDS.items():
        links = [
            Link(number + index // len(WIDTHS), WIDTHS[index % len(WIDTHS)], kind)
            for index in range(MISSES_OF_A_KIND)
        ]
        number, sent = number + len(links) // len(WIDTHS), sent + len(links)
        answers = await bench.send(links, callers=2)
        assert set(answers.states) == {"miss"}, answers.states
        after = await bench.settle()
        cpu = after.since(before).cpu_seconds / len(links) * 1000
        kinds[kind] = RenditionKind(share, cpu, answers.bytes / len(links))
        body_bytes, before = body_bytes + answers.bytes, after
    misses = before.since(start)
    hits = [Link(1, WIDTHS[0], next(iter(KINDS)))] * HITS
    await bench.send(hits)
    cpu = (await bench.settle()).since(before).cpu_seconds
    overhead = misses.disk_bytes - body_bytes - misses.fetched_bytes
    return Figures(
        kinds=kinds,
        hit_cpu_ms=cpu / HITS * 1000,
        original_bytes=misses.fetched_bytes / misses.fetches,
        entry_overhead_bytes=max(0, overhead) / (sent + misses.fetches),
        bucket_reads_per_miss=misses.reads / sent,
        bucket_writes_per_render=1.0 if misses.writes else 0.0,
        bucket_writes_per_fetch=max(0, misses.writes - sent) / misses.fetches,
    )


def draw_links(pictures: int, requests: int) -> Iterator[Link]:
    """Links by Zipf's law, for pictures that the events did not use."""
    random = np.random.default_rng(2)
    ranks = np.arange(1, pictures + 1)
    chances = (1 / ranks) / (1 / ranks).sum()
    drawn = random.choice(pictures, requests, p=chances)
    widths = random.choice(WIDTHS, requests)
    kinds = random.choice(list(KINDS), requests, p=[share for share, _ in KINDS.values()])
    for picture, width, kind in zip(drawn, widths, kinds, strict=True):
        yield Link(1000 + int(picture), int(width), str(kind))


async def compare(bench: Bench, figures: Figures, options: argparse.Namespace) -> None:
    links = list(draw_links(options.pictures, options.requests))
    random = np.random.default_rng(3)
    edges = [Edge(options.edge_size) for _ in range(EDGES)]
    missed = [link for link in links if not edges[int(random.integers(EDGES))].has(link)]
    before = await bench.settle()
    started = time.monotonic()
    answers = await bench.send(missed)
    seconds = time.monotonic() - started
    spent = (await bench.settle()).since(before)
    distinct = set(missed)
    # Who waits for the same render is answered as a miss, too.
    renders, hits = len(distinct), len(missed) - len(distinct)
    assert answers.states["hit"] <= hits, answers.states
    by_kind = Counter(link.kind for link in distinct)
    kinds = {
        name: msgspec.structs.replace(kind, share=by_kind[name] / len(distinct))
        for name, kind in figures.kinds.items()
    }
    shown = {link.picture for link in distinct}
    site = Site(
        requests_per_day=len(links),
        hit_ratio=1 - len(missed) / len(links),
        cache_hit_ratio=hits / len(missed),
        original_hit_ratio=1 - spent.fetches / renders,
        bucket=spent.writes > 0,
        peak_factor=1,
        sources=len(shown),
        renditions_per_source=len(distinct) / len(shown),
        originals_on_disk=1,
    )
    need = calculate(site, Machines(headroom=0), msgspec.structs.replace(figures, kinds=kinds))
    rows = [
        ("CPU seconds", (need.hit_cores + need.render_cores) * DAY_SECONDS, spent.cpu_seconds),
        ("bytes sent to the CDN", need.node_egress_bytes, answers.bytes),
        ("bytes on disk", need.disk_bytes, spent.disk_bytes),
        ("bytes fetched", need.fetched_bytes, spent.fetched_bytes),
        ("reads of the bucket", need.bucket_reads, spent.reads),
        ("writes to the bucket", need.bucket_writes, spent.writes),
    ]
    print(
        f"\n{len(links)} requests in {len(distinct)} renditions of {len(shown)} pictures, "
        f"{len(missed)} of them not answered by the CDN (hit ratio {site.hit_ratio:.3f}), "
        f"{renders} renders, {seconds:.0f} s, {proc_stats.describe_machine()}\n"
    )
    print("| the load took | calculated | measured | calculated / measured |")
    print("| --- | ---: | ---: | ---: |")
    for name, calculated, measured in rows:
        show = format_bytes if name.startswith("bytes") else format_number
        share = f"{calculated / measured:.2f}" if measured else "-"
        print(f"| {name} | {show(calculated)} | {show(measured)} | {share} |")
    print(f"\nMemory of all processes after the load: {format_bytes(bench.memory())}")


@contextlib.asynccontextmanager
async def open_bench(folder: Path, pictures: Pictures) -> AsyncIterator[Bench]:
    async def respond(request: web.BaseRequest) -> web.Response:
        number = int(request.path.strip("/").removesuffix(".jpg"))
        body = await asyncio.to_thread(pictures.fetch, number)
        headers = {"Cache-Control": "max-age=86400"}
        return web.Response(body=body, content_type="image/jpeg", headers=headers)

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin, cache, bucket = runner.addresses[0][1], folder / "cache", None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        if RCLONE is not None:
            (folder / "s3" / "renditions").mkdir(parents=True)
            bucket = FaultProxy(stack.enter_context(s3_server(folder / "s3")))
            await stack.enter_async_context(bucket)
            os.environ |= CREDENTIALS | {
                "FRAMEKEEP_SHARED_CACHE_URL": (
                    f"s3://renditions?region=eu-central-1&endpoint={bucket.url}"
                ),
                "FRAMEKEEP_SHARED_CACHE_KEYS": "0f" * 32,
            }
        server = stack.enter_context(run_server(cache))
        yield Bench(server, cache, origin, pictures, bucket)


async def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_bench(Path(folder), Pictures(options.folder)) as bench:
            figures = await measure_events(bench)
            document = msgspec.json.format(msgspec.json.encode(figures), indent=2)
            print(document.decode())
            if options.figures is not None:
                options.figures.write_bytes(document)
            await compare(bench, figures, options)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    demo = Path(__file__).parents[1] / "proxy" / "data" / "demo"
    parser.add_argument("folder", type=Path, nargs="?", default=demo, metavar="FOLDER")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--requests", type=int, default=20_000, help="of clients, at the CDN")
    parser.add_argument(
        "--edge-size", type=int, default=150, help="links that each of 4 caches has"
    )
    parser.add_argument("--figures", type=Path, help="a file for the figures", metavar="FILE")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
