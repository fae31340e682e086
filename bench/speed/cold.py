"""Uncached renditions: servers take turns in rounds, so that all have the same conditions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import proc_stats
from image_checks import decode_checked, reference_images, ssim
from measure import (
    CORES,
    Bench,
    first_responses,
    libvips_cpu_ms,
    report_progress,
    run_cold,
    run_herd,
)
from results import FLOOR, Measurements, Results
from scenarios import AVATAR, COLD, HERD, SAME_EFFORT, Scenario, same_effort_names
from servers import Server
from servers.server import Efforts

SAME_EFFORTS = Efforts(webp=4, avif_speed=5)
"""What sharp, IPX and imagor have by default, and what the others are set to."""

_MEMORY_SCENARIO = "progressive"
_SETTLE_SECONDS = 3.0
_MAX_REQUESTS = 4000


class _First(NamedTuple):
    """The first responses: bodies by spec, and the seconds that all together take."""

    bodies: list[bytes]
    seconds: float


def run_as_they_ship(bench: Bench, results: Results) -> None:
    for scenario in COLD:
        if bench.plan.is_selected(scenario.name):
            _run_scenario(bench, results, scenario)


def run_same_effort(bench: Bench, results: Results) -> None:
    """The scenarios in whose formats effort is a choice; the servers have the same one."""
    names = [name for name in same_effort_names() if bench.plan.is_selected(name)]
    for scenario in COLD:
        if f"{SAME_EFFORT} {scenario.name}" in names:
            _run_scenario(bench, results, scenario, efforts=SAME_EFFORTS)


def run_herds(bench: Bench, results: Results) -> None:
    """Many clients ask for the same new image at once: is it rendered once."""
    name = f"herd of {HERD}"
    if not bench.plan.is_selected(name):
        return
    report_progress(name)
    scenario = next(one for one in COLD if one.specs == (AVATAR,))
    proxies = [server for server in bench.cached if server not in bench.servers]
    for server in [*bench.servers, *proxies]:
        measured = results.of(name, server.name)
        herds = bench.plan.scaled(5) if server.caches_results else 1
        with measured.noting_errors():
            (body,), _ = first_responses(server, bench.origin, scenario)
            for _ in range(bench.plan.rounds):
                result, cpu = run_herd(
                    server, bench.origin, scenario, body, connections=HERD, herds=herds
                )
                measured.add(result, HERD, cpu, per=HERD)


def _run_scenario(
    bench: Bench, results: Results, scenario: Scenario, *, efforts: Efforts | None = None
) -> None:
    report_progress(scenario.name if efforts is None else f"{SAME_EFFORT} {scenario.name}")
    original = bench.originals[scenario.original]
    floor = results.of(scenario.name, FLOOR)
    first: dict[str, _First] = {}
    for server in bench.servers:
        measured = results.of(scenario.name, server.name)
        with measured.noting_errors():
            bodies, _ = first_responses(server, bench.origin, scenario)
            _, seconds = first_responses(server, bench.origin, scenario)
            first[server.name] = _First(bodies, seconds)
            measured.bytes = sum(map(len, bodies))
            if scenario.has_reference:
                spec = scenario.specs[0]
                image = decode_checked(bodies[0], spec, server.name)
                measured.ssim = max(ssim(image, one) for one in reference_images(original, spec))
    for _ in range(bench.plan.rounds):
        floor.cpu.append(
            sum(
                libvips_cpu_ms(original, spec, bench.plan.seconds, efforts)
                for spec in scenario.specs
            )
        )
        for server in bench.servers:
            if server.name in first:
                measured = results.of(scenario.name, server.name)
                _run_round(bench, measured, scenario, server, first[server.name])
    if scenario.name == _MEMORY_SCENARIO:
        _measure_memory(bench, results, scenario, first)


def _run_round(
    bench: Bench, measured: Measurements, scenario: Scenario, server: Server, first: _First
) -> None:
    size = len(scenario.specs)
    counts = bench.plan.connection_counts
    for connections in counts:
        renderable = bench.plan.seconds / first.seconds * min(connections, CORES)
        count = size * max(connections * 2 // size, round(renderable), 2)
        with measured.noting_errors():
            result, cpu = run_cold(
                server,
                bench.origin,
                scenario,
                first.bodies,
                connections=connections,
                count=min(count, _MAX_REQUESTS),
            )
            # One CPU value a round: it hardly depends on the number of connections.
            measured.add(result, connections, cpu if connections == counts[-1] else None, per=size)


def _measure_memory(
    bench: Bench,
    results: Results,
    scenario: Scenario,
    first: Mapping[str, _First],
) -> None:
    """Memory for this scenario alone: every server is restarted before it."""
    for server in bench.servers:
        if server.name not in first:
            continue
        measured = results.of(scenario.name, server.name)
        server.restart()
        with measured.noting_errors(), proc_stats.watch_peak_memory(*server.pids) as peak:
            run_cold(
                server,
                bench.origin,
                scenario,
                first[server.name].bodies,
                connections=16,
                count=bench.plan.scaled(64, least=16),
            )
            time.sleep(_SETTLE_SECONDS)
            measured.peak_memory = peak.highest
            measured.memory_after = server.memory_bytes()
