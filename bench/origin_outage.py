#!/usr/bin/env python3
"""Stop, slow down, change and restore an origin under load, and measure what clients notice.

    bench/origin_outage.py [--seconds 4] [--clients 8] [--workers 2]

Starts an origin and the server on loopback. The TTL of the picture is one second, so that cached
renditions are stale all the time. Clients request twelve sizes of it without a pause. For each
phase the table shows their responses, the slowest response, and the responses of the origin. Exits
with 1 if the responses of a phase are not as documented.
"""

import argparse
import asyncio
import io
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, web
from PIL import Image

WIDTHS = range(100, 220, 10)
TTL = 1  # seconds


def picture(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((1600, 1200)).point(
        lambda value: value // 2
    ).save(file, "PNG")
    Image.blend(Image.open(file), Image.new("RGB", (1600, 1200), color), 0.5).save(
        fresh := io.BytesIO(), "JPEG"
    )
    return fresh.getvalue()


RED, BLUE = picture((220, 30, 40)), picture((30, 60, 200))


@dataclass
class Origin:
    """An origin whose response can be changed while it runs."""

    body: bytes = RED
    etag: str = '"red"'
    status: int = 200
    delay: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)

    async def respond(self, request: web.Request) -> web.Response:
        status = self.status
        if status == 200 and request.headers.get("If-None-Match") == self.etag:
            status = 304
        self.statuses[str(status)] += 1
        await asyncio.sleep(self.delay)
        headers = {"ETag": self.etag, "Cache-Control": f"max-age={TTL}"}
        if status == 200:
            return web.Response(body=self.body, headers=headers)
        return web.Response(status=status, headers=headers if status == 304 else None)


@dataclass
class PhaseResult:
    """The responses of one phase; ``example`` are headers of the last one."""

    statuses: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    etags: set[str] = field(default_factory=set)
    slowest: float = 0.0
    example: str = ""


@asynccontextmanager
async def run_server(workers: int, cache: str) -> AsyncIterator[str]:
    environment = {
        **os.environ,
        "FRAMEKEEP_CACHE_DIR": cache,
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_CACHE_TTL_MIN": str(TTL),
        "FRAMEKEEP_CACHE_NEGATIVE_TTL": "1",
        "FRAMEKEEP_CACHE_ERROR_BACKOFF_SECONDS": "1",
    }
    arguments = ("-m", "proxy", "serve", "--dev", "--port", "0", "--workers", str(workers))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        startup_message = (await process.stdout.readuntil(b"Ctrl-C")).decode()
        address = re.search(r"http://127\.0\.0\.1:\d+", startup_message)
        assert address is not None
        yield address[0]
    finally:
        process.terminate()
        await process.wait()


async def run_client(client: ClientSession, link: str, until: float, result: PhaseResult) -> None:
    number = 0
    while time.monotonic() < until:
        width = WIDTHS[number % len(WIDTHS)]
        number += 1
        start = time.monotonic()
        async with client.get(link.format(width)) as response:
            await response.read()
        result.slowest = max(result.slowest, time.monotonic() - start)
        state = response.headers.get("X-Cache", "-")
        result.statuses[str(response.status)] += 1
        result.states[state] += 1
        if width == WIDTHS[0] and response.status == 200:
            result.etags.add(response.headers["ETag"])
        names = ("X-Cache", "Age", "Cache-Control")
        result.example = ", ".join(
            f"{name}: {response.headers[name]}" for name in names if name in response.headers
        )


async def run_phase(
    client: ClientSession, link: str, origin: Origin, seconds: float, clients: int
) -> PhaseResult:
    origin.statuses.clear()
    result = PhaseResult()
    until = time.monotonic() + seconds
    await asyncio.gather(*(run_client(client, link, until, result) for _ in range(clients)))
    return result


def format_counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(counter.items())) or "-"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each phase")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="HTTP workers of the server")
    options = parser.parse_args()
    origin = Origin()
    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/a.jpg", origin.respond)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    wrong = []
    print("| the origin | responses | X-Cache | slowest | of the origin | example headers |")
    print("| --- | --- | --- | ---: | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="framekeep-outage-") as cache:
        async with (
            run_server(options.workers, cache) as base,
            ClientSession(timeout=ClientTimeout(total=60)) as client,
        ):
            link = f"{base}/_/resize:{{}}/convert:webp/http://127.0.0.1:{port}/a.jpg"
            await run_phase(client, link, origin, 1.0, options.clients)
            for name, changes, statuses in (
                ("works", {}, {"200"}),
                ("responds after 5 s", {"delay": 5.0}, {"200"}),
                ("responds with 500", {"delay": 0.0, "status": 500}, {"200"}),
                ("works again", {"status": 200}, {"200"}),
                ("has a new version", {"body": BLUE, "etag": '"blue"'}, {"200"}),
                ("responds with 404", {"status": 404}, {"200", "404"}),
                ("has the picture again", {"status": 200}, {"200", "404"}),
            ):
                for field_name, value in changes.items():
                    setattr(origin, field_name, value)
                result = await run_phase(client, link, origin, options.seconds, options.clients)
                cells = (
                    name,
                    format_counts(result.statuses),
                    format_counts(result.states),
                    f"{result.slowest * 1000:.0f} ms",
                    format_counts(origin.statuses),
                    result.example,
                )
                print("|", " | ".join(cells), "|", flush=True)
                if not set(result.statuses) <= statuses:
                    wrong.append(name)
                if name == "has a new version" and len(result.etags) != 2:
                    wrong.append(name)
    await runner.cleanup()
    for name in wrong:
        print(f"not as documented: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
