"""How one thing is measured on one server; the caller interleaves servers and repeats."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import proc_stats
from load_generator import Ask, Times, call, get, once
from scenarios import Scenario, Wish
from servers import HERE, Nginx, Server
from statistics_table import median, percentile

CORES = len(os.sched_getaffinity(0))


@dataclass
class Found:
    """What was found for one scenario on one server, a value for each round.

    CPU in milliseconds a request; ``rates`` in requests a second and ``spread`` in milliseconds
    (p50, p99), by the number of callers; memory in bytes. ``failed``: a wrong answer.
    """

    cpu: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    spread: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    bytes: int = 0
    ssim: float | None = None
    peak: int = 0
    settled: int = 0
    failed: str = ""

    def add(self, times: Times, callers: int, cpu: float | None, *, per: int = 1) -> None:
        """Note a run; ``per`` answers make one of what is counted."""
        seconds = times.all
        if cpu is not None:
            self.cpu.append(1000 * cpu * per / len(seconds))
        self.rates[callers].append(len(seconds) / per / times.wall)
        spread = (1000 * percentile(seconds, 0.5), 1000 * percentile(seconds, 0.99))
        self.spread[callers].append(spread)

    def rate(self, callers: int) -> float:
        return median(self.rates[callers])

    def latency(self, callers: int) -> tuple[float, float]:
        return (
            median([p50 for p50, _ in self.spread[callers]]),
            median([p99 for _, p99 in self.spread[callers]]),
        )


_numbers = itertools.count(1)


def fresh(
    server: Server, origin: Nginx, scenario: Scenario, bodies: Sequence[bytes | None]
) -> Iterator[Ask]:
    """Questions for originals that nobody has asked for yet, all wishes for each in a row.

    What several wishes begin with may depend on which came first, and so may the bytes.
    """
    several = len(scenario.wishes) > 1
    for number in _numbers:
        source = origin.address(scenario.original, number)
        for at, (wish, body) in enumerate(zip(scenario.wishes, bodies, strict=True)):
            request = get(server.link(wish, source), server.port)
            yield Ask(request, body=body, wish=at if several else None)


def used(server: Server, run: Callable[[], Times]) -> tuple[Times, float]:
    """The run, and the CPU seconds that the server's processes took for it."""
    before = proc_stats.cpu(server.pid)
    times = run()
    return times, proc_stats.cpu(server.pid) - before


def first_answers(server: Server, origin: Nginx, scenario: Scenario) -> tuple[list[bytes], float]:
    """The bodies that answer the scenario's wishes, and the seconds they took."""
    one = itertools.islice(fresh(server, origin, scenario, [None] * len(scenario.wishes)), None)
    asks = [next(one) for _ in scenario.wishes]
    began = time.perf_counter()
    return [once(server.port, ask)[2] for ask in asks], time.perf_counter() - began


def cold(
    server: Server,
    origin: Nginx,
    scenario: Scenario,
    bodies: Sequence[bytes],
    *,
    callers: int,
    count: int,
) -> tuple[Times, float]:
    """``count`` questions for fresh originals."""
    asks = list(itertools.islice(fresh(server, origin, scenario, bodies), count))
    return used(server, lambda: call(server.port, asks, callers=callers))


def herd(
    server: Server, origin: Nginx, scenario: Scenario, body: bytes, *, callers: int, herds: int
) -> tuple[Times, float]:
    """Everybody asks for the same fresh original at once, again and again."""
    each = itertools.islice(fresh(server, origin, scenario, [body]), herds)
    asks = [ask for one in each for ask in [one] * callers]
    return used(server, lambda: call(server.port, asks, callers=callers))


def hot(server: Server, ask: Ask, callers: int, seconds: float) -> tuple[Times, float]:
    """The same question for so many seconds."""
    asks = [ask] * CORES
    return used(
        server,
        lambda: call(server.port, asks, callers=callers, processes=CORES, seconds=seconds),
    )


def bare_loop(original: Path, wish: Wish, seconds: float) -> float:
    """CPU milliseconds that a wish costs in a bare loop."""
    spec = json.dumps([str(original), asdict(wish), seconds])
    done = subprocess.run(
        [sys.executable, str(HERE / "floor_vips.py"), spec],
        env={**os.environ, "VIPS_CONCURRENCY": "1"},
        check=True,
        capture_output=True,
    )
    return 1000 * float(done.stdout)
