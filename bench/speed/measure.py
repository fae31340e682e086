"""Measure one scenario on one server; `runner` alternates servers and repeats."""

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
from load_generator import LoadResult, Request, generate_load, get_request, send_once
from scenarios import ImageSpec, Scenario
from servers import HERE, Nginx, Server
from statistics_table import median, percentile

CORES = len(os.sched_getaffinity(0))


@dataclass
class Measurements:
    """The measurements of one scenario on one server, one value a round.

    ``cpu`` is milliseconds a request. By the number of connections: ``rates`` are requests a
    second, ``latencies`` milliseconds (p50, p99). Memory is bytes. ``error`` describes a wrong
    response.
    """

    cpu: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    latencies: dict[int, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    bytes: int = 0
    ssim: float | None = None
    peak_memory: int = 0
    memory_after: int = 0
    error: str = ""

    def add(
        self, result: LoadResult, connections: int, cpu_seconds: float | None, *, per: int = 1
    ) -> None:
        """Add a run; ``per`` responses count as one."""
        seconds = result.all
        if cpu_seconds is not None:
            self.cpu.append(1000 * cpu_seconds * per / len(seconds))
        self.rates[connections].append(len(seconds) / per / result.wall_seconds)
        latency = (1000 * percentile(seconds, 0.5), 1000 * percentile(seconds, 0.99))
        self.latencies[connections].append(latency)

    def rate(self, connections: int) -> float:
        return median(self.rates[connections])

    def latency(self, connections: int) -> tuple[float, float]:
        return (
            median([p50 for p50, _ in self.latencies[connections]]),
            median([p99 for _, p99 in self.latencies[connections]]),
        )


_numbers = itertools.count(1)


def uncached_requests(
    server: Server, origin: Nginx, scenario: Scenario, bodies: Sequence[bytes | None]
) -> Iterator[Request]:
    """Requests for originals that were never requested before, all specs of each in a row.

    Which decoded original several specs share can depend on which of them comes first, and so can
    the bytes: such requests have a ``spec``.
    """
    has_several = len(scenario.specs) > 1
    for number in _numbers:
        source = origin.url(scenario.original, number)
        for index, (spec, body) in enumerate(zip(scenario.specs, bodies, strict=True)):
            data = get_request(server.link(spec, source), server.port)
            yield Request(data, body=body, spec=index if has_several else None)


def with_cpu_seconds(server: Server, run: Callable[[], LoadResult]) -> tuple[LoadResult, float]:
    """The result of a run, and the CPU seconds that the server's processes used for it."""
    before = proc_stats.cpu_seconds(server.pid)
    result = run()
    return result, proc_stats.cpu_seconds(server.pid) - before


def first_responses(server: Server, origin: Nginx, scenario: Scenario) -> tuple[list[bytes], float]:
    """The bodies of the scenario's renditions, and the seconds they took."""
    unknown = [None] * len(scenario.specs)
    requests = list(
        itertools.islice(uncached_requests(server, origin, scenario, unknown), len(scenario.specs))
    )
    start = time.perf_counter()
    return [send_once(server.port, each)[2] for each in requests], time.perf_counter() - start


def run_cold(
    server: Server,
    origin: Nginx,
    scenario: Scenario,
    bodies: Sequence[bytes],
    *,
    connections: int,
    count: int,
) -> tuple[LoadResult, float]:
    """Send ``count`` requests for uncached originals."""
    requests = list(itertools.islice(uncached_requests(server, origin, scenario, bodies), count))
    return with_cpu_seconds(
        server, lambda: generate_load(server.port, requests, connections=connections)
    )


def run_herd(
    server: Server, origin: Nginx, scenario: Scenario, body: bytes, *, connections: int, herds: int
) -> tuple[LoadResult, float]:
    """All connections request the same uncached original at once, ``herds`` times."""
    each = itertools.islice(uncached_requests(server, origin, scenario, [body]), herds)
    requests = [request for one in each for request in [one] * connections]
    return with_cpu_seconds(
        server, lambda: generate_load(server.port, requests, connections=connections)
    )


def run_hot(
    server: Server, request: Request, connections: int, seconds: float
) -> tuple[LoadResult, float]:
    """Send the same request for ``seconds`` seconds."""
    requests = [request] * CORES
    return with_cpu_seconds(
        server,
        lambda: generate_load(
            server.port, requests, connections=connections, processes=CORES, seconds=seconds
        ),
    )


def libvips_cpu_ms(original: Path, spec: ImageSpec, seconds: float) -> float:
    """CPU milliseconds of a rendition in a bare loop of libvips calls."""
    argument = json.dumps([str(original), asdict(spec), seconds])
    done = subprocess.run(
        [sys.executable, str(HERE / "floor_vips.py"), argument],
        env={**os.environ, "VIPS_CONCURRENCY": "1"},
        check=True,
        capture_output=True,
    )
    return 1000 * float(done.stdout)
