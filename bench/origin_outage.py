#!/usr/bin/env python3
"""Switch an origin off, slow it, change it and bring it back under load; see what callers notice.

    bench/origin_outage.py [--seconds 4] [--callers 8] [--workers 2]

Starts an origin and the server on loopback. The origin gives its picture one second to live, so
that what is kept is stale all the time. Callers ask for twelve sizes of it without a pause. For
each phase the table tells what they were answered, how long the longest answer took, and how often
the origin was asked. Exits with 1 if a phase was answered otherwise than promised.
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
LIFETIME = 1  # seconds


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
    """What the source does at the moment."""

    body: bytes = RED
    etag: str = '"red"'
    status: int = 200
    delay: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.Response:
        status = self.status
        if status == 200 and request.headers.get("If-None-Match") == self.etag:
            status = 304
        self.asked[str(status)] += 1
        await asyncio.sleep(self.delay)
        headers = {"ETag": self.etag, "Cache-Control": f"max-age={LIFETIME}"}
        if status == 200:
            return web.Response(body=self.body, headers=headers)
        return web.Response(status=status, headers=headers if status == 304 else None)


@dataclass
class Seen:
    """What callers were answered in a phase."""

    statuses: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    etags: set[str] = field(default_factory=set)
    slowest: float = 0.0
    example: str = ""


@asynccontextmanager
async def server(workers: int, cache: str) -> AsyncIterator[str]:
    environment = {
        **os.environ,
        "FRAMEKEEP_CACHE_DIR": cache,
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_CACHE_TTL_MIN": str(LIFETIME),
        "FRAMEKEEP_CACHE_NEGATIVE_TTL": "1",
        "FRAMEKEEP_CACHE_ERROR_BACKOFF_SECONDS": "1",
    }
    words = ("-m", "proxy", "serve", "--dev", "--port", "0", "--workers", str(workers))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        welcome = (await process.stdout.readuntil(b"Ctrl-C")).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+", welcome)
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        await process.wait()


async def call(client: ClientSession, link: str, until: float, seen: Seen) -> None:
    turn = 0
    while time.monotonic() < until:
        width = WIDTHS[turn % len(WIDTHS)]
        turn += 1
        began = time.monotonic()
        async with client.get(link.format(width)) as answer:
            await answer.read()
        seen.slowest = max(seen.slowest, time.monotonic() - began)
        state = answer.headers.get("X-Cache", "-")
        seen.statuses[str(answer.status)] += 1
        seen.states[state] += 1
        if width == WIDTHS[0] and answer.status == 200:
            seen.etags.add(answer.headers["ETag"])
        names = ("X-Cache", "Age", "Cache-Control")
        seen.example = ", ".join(
            f"{name}: {answer.headers[name]}" for name in names if name in answer.headers
        )


async def phase(
    client: ClientSession, link: str, origin: Origin, seconds: float, callers: int
) -> Seen:
    origin.asked.clear()
    seen = Seen()
    until = time.monotonic() + seconds
    await asyncio.gather(*(call(client, link, until, seen) for _ in range(callers)))
    return seen


def told(counter: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(counter.items())) or "-"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    origin = Origin()
    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/a.jpg", origin.answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    wrong = []
    print("| the origin | answers | X-Cache | slowest | origin asked | an answer's headers |")
    print("| --- | --- | --- | ---: | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="framekeep-outage-") as cache:
        async with (
            server(chosen.workers, cache) as base,
            ClientSession(timeout=ClientTimeout(total=60)) as client,
        ):
            link = f"{base}/_/resize:{{}}/convert:webp/http://127.0.0.1:{port}/a.jpg"
            await phase(client, link, origin, 1.0, chosen.callers)
            for name, changes, statuses in (
                ("works", {}, {"200"}),
                ("takes 5 s", {"delay": 5.0}, {"200"}),
                ("answers 500", {"delay": 0.0, "status": 500}, {"200"}),
                ("works again", {"status": 200}, {"200"}),
                ("has another picture", {"body": BLUE, "etag": '"blue"'}, {"200"}),
                ("has nothing there", {"status": 404}, {"200", "404"}),
                ("has it back", {"status": 200}, {"200", "404"}),
            ):
                for field_name, value in changes.items():
                    setattr(origin, field_name, value)
                seen = await phase(client, link, origin, chosen.seconds, chosen.callers)
                print(
                    f"| {name} | {told(seen.statuses)} | {told(seen.states)} |"
                    f" {seen.slowest * 1000:.0f} ms | {told(origin.asked)} | {seen.example} |",
                    flush=True,
                )
                if not set(seen.statuses) <= statuses:
                    wrong.append(name)
                if name == "has another picture" and len(seen.etags) != 2:
                    wrong.append(name)
    await runner.cleanup()
    for name in wrong:
        print(f"not as promised: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
