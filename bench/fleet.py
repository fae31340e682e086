#!/usr/bin/env python3
"""Count what a fleet does twice: renders and fetches, by how the router spreads links.

    bench/fleet.py                                   500 links of 100 pictures, three servers
    bench/fleet.py --sources 20 --servers 2          100 links

Each link is requested three times, in an order of its own each time. Then one server is lost, and
every link is requested once more; then an empty server joins, and again. Links are spread one after
the other (round robin), by the whole link, or by the source that it ends with; the latter two by
the highest hash of server and key, as consistent hashing in a router does. A render is an answer
with ``X-Cache: miss``, a fetch is a request at the origin. With a bucket, which needs rclone, the
servers share their renditions through it.

Only counts are printed, which do not depend on the machine: servers, origin and client are in one
process.
"""

import argparse
import asyncio
import hashlib
import itertools
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import httpx2 as httpx
import pyvips
from aiohttp import web

from proxy.app import create_app
from proxy.config import load

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from s3_server import CREDENTIALS, RCLONE, s3_server

WIDTHS = (20, 30, 40, 50, 60)
ROUNDS = 3
CALLERS = 8
QUIET_SECONDS = 0.5

Route = Callable[[str, Sequence[str]], str]
"""Chooses the server of a link, such as ``resize:20/7.png``, by the names of those that are up."""


def highest_hash(key: str, servers: Sequence[str]) -> str:
    return max(servers, key=lambda name: hashlib.sha256(f"{name} {key}".encode()).digest())


def make_routes() -> dict[str, Route]:
    turn = itertools.count()
    return {
        "round robin": lambda _, servers: servers[next(turn) % len(servers)],
        "by link": highest_hash,
        "by source": lambda link, servers: highest_hash(link.partition("/")[2], servers),
    }


class Origin:
    """Serves one picture at every path, and counts the requests."""

    def __init__(self) -> None:
        self.fetches = 0
        self._picture = pyvips.Image.black(80, 60, bands=3).copy(interpretation="srgb")

    async def start(self) -> str:
        self._runner = web.ServerRunner(web.Server(self._respond))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _respond(self, _: web.BaseRequest) -> web.Response:
        self.fetches += 1
        body = self._picture.write_to_buffer(".png")
        return web.Response(body=body, headers={"Cache-Control": "max-age=86400"})


class Fleet:
    """Servers with caches of their own, and the router before them."""

    def __init__(self, folder: Path, route: Route, origin: str, bucket: str) -> None:
        self._folder = folder
        self._route = route
        self._origin = origin
        self._bucket = bucket
        self._open: dict[str, tuple[AsyncExitStack, httpx.AsyncClient]] = {}

    async def join(self, name: str) -> None:
        environment = {
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_CACHE_DIR": str(self._folder / name),
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
            "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
            "FRAMEKEEP_RENDER_PROCESSES": "1",
            "FRAMEKEEP_LOG_LEVEL": "error",
            "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "300",
            **({"FRAMEKEEP_SHARED_CACHE_URL": self._bucket} if self._bucket else {}),
            **({"FRAMEKEEP_SHARED_CACHE_KEYS": "0f" * 32} if self._bucket else {}),
        }
        app = create_app(load(environment).settings)
        stack = AsyncExitStack()
        await stack.enter_async_context(app.lifespan_context(app))
        transport = httpx.ASGITransport(app=app)
        client = httpx.AsyncClient(transport=transport, base_url="http://fleet", timeout=300)
        self._open[name] = stack, await stack.enter_async_context(client)

    async def leave(self, name: str) -> None:
        stack, _ = self._open.pop(name)
        await stack.aclose()

    async def close(self) -> None:
        for name in list(self._open):
            await self.leave(name)

    async def count_renders(self, links: Sequence[str]) -> int:
        """Request the links in this order; returns how many were rendered."""
        names = sorted(self._open)
        waiting = iter([(link, self._route(link, names)) for link in links])
        states = await asyncio.gather(*(self._request(waiting) for _ in range(CALLERS)))
        return sum(one.count("miss") for one in states)

    async def _request(self, waiting: Iterator[tuple[str, str]]) -> list[str]:
        states = []
        for link, name in waiting:
            steps, _, source = link.partition("/")
            response = await self._open[name][1].get(f"/_/{steps}/{self._origin}/{source}")
            response.raise_for_status()
            states.append(response.headers["x-cache"])
        return states


async def wait_quiet(bucket: Path | None) -> None:
    """Wait until nothing more is written to the bucket, which happens after the answers."""
    before, now = -1, count_files(bucket)
    while before != now:
        await asyncio.sleep(QUIET_SECONDS)
        before, now = now, count_files(bucket)


def count_files(folder: Path | None) -> int:
    return sum(1 for _ in folder.rglob("*")) if folder is not None else -1


async def measure(
    route: Route, folder: Path, bucket: tuple[str, Path] | None, arguments: argparse.Namespace
) -> list[int]:
    """Renders and fetches: of all rounds, after the loss, and after the join."""
    origin = Origin()
    fleet = Fleet(folder, route, await origin.start(), bucket[0] if bucket else "")
    links = [
        f"resize:{width}/{number}.png" for number in range(arguments.sources) for width in WIDTHS
    ]
    generator, counts = random.Random(1), list[int]()  # the same order in each run

    async def count(rounds: int) -> list[int]:
        origin.fetches, renders = 0, 0
        for _ in range(rounds):
            renders += await fleet.count_renders(generator.sample(links, len(links)))
            await wait_quiet(bucket[1] if bucket else None)
        return [renders, origin.fetches]

    try:
        for number in range(arguments.servers):
            await fleet.join(f"server-{number}")
        counts += await count(ROUNDS)
        await fleet.leave(f"server-{arguments.servers - 1}")
        counts += await count(1)
        await fleet.join("newcomer")
        counts += await count(1)
    finally:
        await fleet.close()
        await origin.close()
    return counts


@contextmanager
def opened_bucket(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    root = folder / "s3"
    (root / name).mkdir(parents=True)
    with s3_server(root) as address:
        yield f"s3://{name}?region=eu-central-1&endpoint={address}", root


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sources", type=int, default=100, metavar="NUMBER")
    parser.add_argument("--servers", type=int, default=3, metavar="NUMBER")
    arguments = parser.parse_args()
    os.environ.update(CREDENTIALS)
    links = arguments.sources * len(WIDTHS)
    print(f"{links} links of {arguments.sources} pictures, {arguments.servers} servers\n")
    first = f"{links} links, {ROUNDS} times each"
    print(f"| links are spread | bucket | {first} | a server is lost | one joins |")
    print("| --- | --- | --- | --- | --- |")
    for with_bucket in (False, True) if RCLONE else (False,):
        for name, route in make_routes().items():
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                bucket = None
                if with_bucket:
                    bucket = stack.enter_context(opened_bucket(folder, "fleet"))
                counts = asyncio.run(measure(route, folder, bucket, arguments))
            cells = [
                f"{renders} renders, {fetches} fetches"
                for renders, fetches in zip(counts[::2], counts[1::2], strict=True)
            ]
            print(
                f"| {name} | {'yes' if with_bucket else 'no'} | {' | '.join(cells)} |", flush=True
            )


if __name__ == "__main__":
    main()
