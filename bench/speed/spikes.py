"""A spike of distinct pictures, and busy neighbors on the same machine.

The parts are those of ``bench/spike.py`` and ``bench/neighbour.py``, which measure Framekeep alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import count, islice

from corpus import SPIKE_PICTURES
from load_generator import Request, get_request
from measure import (
    Bench,
    report_progress,
    uncached_requests,
    wait_until_idle,
)
from neighbour import busy_loops
from scenarios import COLD, NEIGHBOR, SPIKE, ImageSpec
from servers import Server
from spike import Times, measure, run_callers
from tables import Table

_THUMBNAIL = ImageSpec(100, 100, "jpeg", 80)
_CALLERS, _BASELINE_CALLERS, _BASELINE_PICTURES = 500, 16, 200
_LOOPS, _RENDERS = 4, 20

_numbers = count(1)


def run_spike(bench: Bench) -> Table:
    """Many callers, each with another picture, all at once."""
    pictures = bench.plan.scaled(SPIKE_PICTURES, least=_BASELINE_CALLERS)
    callers = min(_CALLERS, pictures)
    table = Table(
        "A spike",
        f"{pictures} new pictures of 280x220 pixels by {callers} callers, beside the rate with "
        f"{_BASELINE_CALLERS} callers. Meanwhile a cached link and the health check are asked for.",
        (
            "scenario", "server", "answered", "others", f"/s, {_BASELINE_CALLERS} callers",
            f"/s, {callers} callers", "p50 ms", "p99 ms", "peak MB", "hits p99 ms",
            "health p99 ms", "failed hits and checks",
        ),
    )  # fmt: skip
    for server in bench.cached:
        report_progress(f"{SPIKE}: {server.name}")
        probes = [_thumbnails(bench, server, 1)[0], *_health(server)]
        if asyncio.run(run_callers(server.port, probes, 1)).statuses != {200: len(probes)}:
            table.add_error(SPIKE, server.name, "it does not answer the first request with 200")
            continue
        small = _thumbnails(bench, server, bench.plan.scaled(_BASELINE_PICTURES, least=16))
        all_requests = _thumbnails(bench, server, pictures)
        _, _, base_rate, _ = measure(server.pids, server.port, small, _BASELINE_CALLERS, probes)
        times, probed, rate, memory = measure(
            server.pids, server.port, all_requests, callers, probes
        )
        wait_until_idle(server)
        table.add(
            SPIKE,
            server.name,
            str(times.statuses[200]),
            _other_statuses([times]),
            base_rate,
            rate,
            times.percentile_ms(50),
            times.percentile_ms(99),
            memory,
            probed[0].percentile_ms(99),
            probed[1].percentile_ms(99) if server.health else None,
            _other_statuses(probed),
        )
    return table


def run_neighbor(bench: Bench) -> Table:
    """Other programs take all the CPU time that they get."""
    scenario = next(one for one in COLD if one.name == "card")
    renders = bench.plan.scaled(_RENDERS, least=3)
    table = Table(
        "A noisy neighbor",
        f"{renders} new cards by one caller, alone, and beside {_LOOPS} busy loops of other "
        "programs. Meanwhile a cached card is asked for. Milliseconds.",
        (
            "scenario", "server", "alone: render p50", "max", "hit p50", "p99",
            "beside: render p50", "max", "hit p50", "p99", "not 200",
        ),
    )  # fmt: skip
    for server in bench.cached:
        report_progress(f"{NEIGHBOR}: {server.name}")
        requests = uncached_requests(server, bench.origin, scenario, [None])
        hit = next(requests).data
        if asyncio.run(run_callers(server.port, [hit], 1)).statuses != {200: 1}:
            table.add_error(NEIGHBOR, server.name, "it does not answer the first request with 200")
            continue

        def render(
            server: Server = server, hit: bytes = hit, requests: Iterator[Request] = requests
        ) -> tuple[Times, Times]:
            batch = [request.data for request in islice(requests, renders)]
            times, (hits,), _, _ = measure(server.pids, server.port, batch, 1, [hit])
            return times, hits

        alone = render()
        with busy_loops(_LOOPS):
            beside = render()
        cells = [
            times.percentile_ms(percent)
            for rendered, hits in (alone, beside)
            for times, percents in ((rendered, (50, 100)), (hits, (50, 99)))
            for percent in percents
        ]
        table.add(NEIGHBOR, server.name, *cells, _other_statuses([*alone, *beside]))
    return table


def _thumbnails(bench: Bench, server: Server, number: int) -> list[bytes]:
    """Requests for thumbnails of pictures that were never requested before."""
    sources = (
        bench.origin.url(f"spike/{index % SPIKE_PICTURES}.jpg", copy)
        for index, copy in enumerate(islice(_numbers, number))
    )
    return [get_request(server.link(_THUMBNAIL, source), server.port) for source in sources]


def _health(server: Server) -> list[bytes]:
    return [get_request(server.health, server.port)] if server.health else []


def _other_statuses(all_times: Sequence[Times]) -> str:
    """For example ``503: 12``; 0 is a connection that failed."""
    found = [
        f"{status or 'no answer'}: {number}"
        for times in all_times
        for status, number in times.statuses.items()
        if status != 200
    ]
    return ", ".join(found) or "none"
