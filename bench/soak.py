"""Is it steady? Mixed load for minutes, memory watched, processes killed, and an end under load.

    python bench/soak.py                          two minutes, ten kills, SIGTERM
    python bench/soak.py --minutes 60 --kills 0   the long run

It starts its own server and origin on loopback, ends only what it started, and prints Markdown.
Memory is the proportional set size (PSS) of the server's whole tree, in megabytes.
"""

import argparse
import asyncio
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import aiohttp
from aiohttp import web

from proxy.server.worker import NAME

BEACH = (files("proxy") / "data" / "demo" / "beach.jpg").read_bytes()
CALLERS = 16
HOT = 24


@dataclass
class Kind:
    """One sort of request: how often, which link, and which answers are right."""

    share: int
    path: Callable[[str, int], str]
    right: tuple[int, ...]
    took: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        return sum(self.answers.values()) - sum(self.answers[str(status)] for status in self.right)


def kinds() -> dict[str, Kind]:
    small = "smart_crop:200:200/sharpen:0.5/convert:webp:85"
    return {
        "kept": Kind(70, lambda at, n: f"/_/{small}/{at}/a/{n % HOT}.jpg", (200,)),
        "cold": Kind(12, lambda at, n: f"/_/resize:{100 + n % 900}/{at}/b/{n}.jpg", (200,)),
        "slow source": Kind(4, lambda at, n: f"/_/resize:90/{at}/slow/{n}.jpg", (200,)),
        "nothing there": Kind(4, lambda at, n: f"/_/resize:90/{at}/none/{n}.jpg", (404,)),
        "half a picture": Kind(4, lambda at, n: f"/_/resize:90/{at}/half/{n}.jpg", (422,)),
        "wrong link": Kind(4, lambda _, n: f"/_/resize:{n}:x/", (400,)),
        "health": Kind(2, lambda _, __: "/health/ready", (200, 503)),
    }


async def originals(request: web.BaseRequest) -> web.Response:
    match request.path.split("/")[1]:
        case "none":
            return web.Response(status=404)
        case "half":
            return web.Response(body=BEACH[: len(BEACH) // 2])
        case "slow":
            await asyncio.sleep(1)
    return web.Response(body=BEACH)


def tree(pid: int) -> Iterator[int]:
    """The process and all that it started."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield from tree(child)


def pss(pid: int) -> float:
    total = 0
    for one in tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(found[1]) if (found := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)) else 0
    return total / 1024


def killable(pid: int) -> list[int]:
    """HTTP workers and render processes; not the supervisor, and not who forks renderers."""
    return [one for one in tree(pid) if _kind(one)]


def _kind(pid: int) -> str:
    """What dies here and what that is called; "" where nothing does."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        above = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return ""
    if name == NAME:
        return "workers"
    return "renderers" if b"proxy.render.fork_server" in above else ""


class Load:
    """Callers who ask without a pause, each for something else every time."""

    def __init__(self, server: str, origin: str) -> None:
        self.server = server
        self.origin = origin
        self.kinds = kinds()
        self.over = False
        self.leaving = False
        self._number = 0

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=CALLERS)
        async with aiohttp.ClientSession(self.server, connector=connector) as session:
            await asyncio.gather(*(self._call(session) for _ in range(CALLERS)))

    async def _call(self, session: aiohttp.ClientSession) -> None:
        shares = [kind.share for kind in self.kinds.values()]
        while not self.over:
            (kind,) = random.choices(list(self.kinds.values()), shares)
            self._number += 1
            began = time.monotonic()
            try:
                async with session.get(kind.path(self.origin, self._number)) as answer:
                    await answer.read()
                kind.answers[str(answer.status)] += 1
                kind.took.append(time.monotonic() - began)
            except aiohttp.ClientConnectorError:
                if self.leaving:  # nobody is there any more, as it should be
                    return
                kind.answers["refused"] += 1
                await asyncio.sleep(0.05)
            except aiohttp.ClientError as error:
                kind.answers[type(error).__name__] += 1

    @property
    def asked(self) -> int:
        return sum(sum(kind.answers.values()) for kind in self.kinds.values())

    @property
    def wrong(self) -> int:
        return sum(kind.wrong for kind in self.kinds.values())


async def kill_some(pid: int, count: int, seconds: float) -> Counter[str]:
    killed: Counter[str] = Counter()
    for _ in range(count):
        await asyncio.sleep(seconds / count)
        if those := killable(pid):
            one = random.choice(those)
            killed[_kind(one)] += 1
            os.kill(one, signal.SIGKILL)
    return killed


async def watch(pid: int, seconds: float) -> list[float]:
    """The tree's memory, once a second."""
    seen: list[float] = []
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        seen.append(pss(pid))
    return seen


async def main(minutes: float, kills: int, kill_seconds: float) -> None:
    origin = web.ServerRunner(web.Server(originals))
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
            await steady(server, load, minutes * 60, kills, kill_seconds)
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()
    await origin.cleanup()


async def steady(
    server: asyncio.subprocess.Process, load: Load, seconds: float, kills: int, kill_seconds: float
) -> None:
    running = asyncio.create_task(load.run())
    memory = await watch(server.pid, seconds)
    print("| request | answers | wrong | p50 ms | p99 ms | which |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, kind in load.kinds.items():
        p50, p99 = _percentiles(kind.took)
        which = ", ".join(f"{answer}: {count}" for answer, count in kind.answers.most_common())
        print(f"| {name} | {len(kind.took)} | {kind.wrong} | {p50:.0f} | {p99:.0f} | {which} |")
    early, late = memory[len(memory) // 4 : len(memory) // 2], memory[-len(memory) // 4 :]
    growth = statistics.mean(late) / statistics.mean(early) - 1
    print(f"\nMemory: {max(memory):.0f} MB at most; second quarter to last: {growth:+.1%}.")

    if kills:
        before, wrong_before = load.asked, load.wrong
        killed = await kill_some(server.pid, kills, kill_seconds)
        await asyncio.sleep(1)
        asked, wrong = load.asked - before, load.wrong - wrong_before
        print(
            f"Kills: {dict(killed)} in {kill_seconds:g} s: {asked} answers, {wrong} wrong "
            f"({1 - wrong / asked:.2%} right)."
        )

    before, wrong_before = load.asked, load.wrong
    load.leaving = True
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    status = await server.wait()
    took = time.monotonic() - began
    load.over = True
    await running
    asked, wrong = load.asked - before, load.wrong - wrong_before
    print(
        f"SIGTERM: ended with {status} in {took:.1f} s; {asked} answers meanwhile, {wrong} wrong."
    )


def _percentiles(took: list[float]) -> tuple[float, float]:
    if len(took) < 2:
        return 0.0, 0.0
    cuts = statistics.quantiles(took, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--kills", type=int, default=10, choices=range(101), metavar="0-100")
    parser.add_argument("--kill-seconds", type=float, default=8.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.minutes, chosen.kills, chosen.kill_seconds))
