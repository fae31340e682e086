"""Requests and runs that the scenarios are made of."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from image_checks import decode_checked
from load_generator import (
    LoadResult,
    Request,
    WrongResponse,
    generate_load,
    get_request,
    send_once,
)
from paths import HERE
from scenarios import ImageSpec, Scenario
from servers import Server, StaticFiles
from servers.server import Efforts

CORES = len(os.sched_getaffinity(0))
_MAX_VARIANTS = 8  # different bodies for one image spec
_IDLE_SECONDS, _MAX_SETTLE_SECONDS = 0.2, 30.0


@dataclass(frozen=True)
class RunPlan:
    """``seconds`` is the length of one run; ``selected`` are parts of scenario names, or None.

    ``scale`` is the share of the requests of scenarios whose number of requests is fixed.
    """

    rounds: int
    seconds: float
    connection_counts: tuple[int, ...]
    scale: float = 1.0
    selected: Sequence[str] | None = None

    def is_selected(self, scenario: str) -> bool:
        return not self.selected or any(part in scenario for part in self.selected)

    def scaled(self, count: int, *, least: int = 1) -> int:
        return max(least, round(count * self.scale))


@dataclass(frozen=True)
class Bench:
    """``servers`` are asked directly; each of ``cached`` has a cache, its own or that of nginx."""

    plan: RunPlan
    origin: StaticFiles
    originals: Mapping[str, Path]
    servers: Sequence[Server]
    cached: Sequence[Server]


_numbers = itertools.count(1)


def uncached_requests(
    server: Server,
    origin: StaticFiles,
    scenario: Scenario,
    bodies: Sequence[bytes | None],
    *,
    group: str = "",
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
            yield Request(data, body=body, spec=index if has_several else None, group=group)


def with_cpu_seconds(server: Server, run: Callable[[], LoadResult]) -> tuple[LoadResult, float]:
    """The result of a run, and the CPU seconds that the server's processes used for it."""
    before = server.cpu_seconds()
    result = run()
    return result, server.cpu_seconds() - before


def wait_until_idle(server: Server) -> None:
    """Wait until a server has finished what it was asked before, for half a minute at most."""
    until = time.monotonic() + _MAX_SETTLE_SECONDS
    before = server.cpu_seconds()
    while time.monotonic() < until:
        time.sleep(_IDLE_SECONDS)
        after = server.cpu_seconds()
        if after - before < 0.1 * _IDLE_SECONDS:
            return
        before = after


def first_responses(
    server: Server, origin: StaticFiles, scenario: Scenario
) -> tuple[list[bytes], float]:
    """The bodies of the scenario's renditions, and the seconds they took.

    Raises WrongResponse and WrongImage.
    """
    unknown = [None] * len(scenario.specs)
    requests = list(
        itertools.islice(uncached_requests(server, origin, scenario, unknown), len(scenario.specs))
    )
    start = time.perf_counter()
    responses = [send_once(server.port, each) for each in requests]
    seconds = time.perf_counter() - start
    for (status, _, body), spec in zip(responses, scenario.specs, strict=True):
        if status != 200:
            raise WrongResponse(f"status {status}: {body[:200].decode(errors='replace')}")
        decode_checked(body, spec, server.name)
    return [body for _, _, body in responses], seconds


def run_cold(
    server: Server,
    origin: StaticFiles,
    scenario: Scenario,
    bodies: Sequence[bytes],
    *,
    connections: int,
    count: int,
) -> tuple[LoadResult, float]:
    """Send ``count`` requests for uncached originals. Raises WrongResponse and WrongImage."""
    requests = list(itertools.islice(uncached_requests(server, origin, scenario, bodies), count))
    result, cpu = with_cpu_seconds(
        server, lambda: generate_load(server.port, requests, connections=connections)
    )
    _check_unexpected_bodies(result, scenario, server.name)
    return result, cpu


def run_herd(
    server: Server,
    origin: StaticFiles,
    scenario: Scenario,
    body: bytes,
    *,
    connections: int,
    herds: int,
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


def libvips_cpu_ms(
    original: Path, spec: ImageSpec, seconds: float, efforts: Efforts | None
) -> float:
    """CPU milliseconds of a rendition in a bare loop of libvips calls."""
    argument = json.dumps([str(original), asdict(spec), seconds, efforts])
    done = subprocess.run(
        [sys.executable, str(HERE / "floor_vips.py"), argument],
        env={**os.environ, "VIPS_CONCURRENCY": "1"},
        check=True,
        capture_output=True,
    )
    return 1000 * float(done.stdout)


def report_progress(what: str) -> None:
    print("bench:", what, file=sys.stderr, flush=True)


def _check_unexpected_bodies(result: LoadResult, scenario: Scenario, server: str) -> None:
    """Raise unless every unexpected body is a right image, and there are few of them."""
    if len(result.unexpected_bodies) > _MAX_VARIANTS * len(scenario.specs):
        raise WrongResponse(f"{server} rendered more than {_MAX_VARIANTS} different bodies")
    for spec, body in result.unexpected_bodies:
        decode_checked(body, scenario.specs[spec], server)
