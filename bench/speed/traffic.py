"""Traffic as it comes: popular and new images, whole pages, and the first seconds after a start."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import accumulate, islice

from image_checks import WrongImage
from load_generator import LoadResult, Request, WrongResponse, generate_load
from measure import (
    Bench,
    first_responses,
    report_progress,
    uncached_requests,
    wait_until_idle,
    with_cpu_seconds,
)
from scenarios import AVATAR, CARD, COLD, PAGE, START, WEB, ZIPF, Scenario
from servers import NotStarted, Server
from statistics_table import median, percentile
from tables import Table

_CONNECTIONS = 16
_ZIPF_LINKS, _ZIPF_REQUESTS, _ZIPF_MISSES = 100, 2000, 0.05
_PAGE_CONNECTIONS = 6  # of a browser to one host
_PAGES = 10
_PAGE_PARTS = (
    (Scenario("hero", "photo0.jpg", (WEB,)), 1),
    (Scenario("cards", "photo1.jpg", (CARD,)), 6),
    (Scenario("avatars", "photo2.jpg", (AVATAR,)), 8),
)
_START_LINKS, _START_REQUESTS = 2000, 20_000
_START_SECONDS = (5.0, 30.0)


def run_zipf(bench: Bench) -> Table:
    """Requests for cached cards, the popular ones most often, and for some new ones."""
    links, number = bench.plan.scaled(_ZIPF_LINKS, least=10), bench.plan.scaled(_ZIPF_REQUESTS)
    table = Table(
        "Zipf load with 5 % misses",
        f"{number} requests over {_CONNECTIONS} connections: {_ZIPF_MISSES:.0%} for new cards, the "
        f"others for {links} cached ones, the n-th 1/n as often as the first.",
        (
            "scenario", "server", "/s", "CPU ms a request", "hits p50 ms", "p99 ms",
            "misses p50 ms", "p99 ms",
        ),
    )  # fmt: skip
    scenario = _scenario("card")

    def measure(server: Server) -> list[float]:
        (body,), _ = first_responses(server, bench.origin, scenario)
        known = list(
            islice(uncached_requests(server, bench.origin, scenario, [body], group="hit"), links)
        )
        generate_load(server.port, known, connections=_CONNECTIONS)
        wait_until_idle(server)
        new = uncached_requests(server, bench.origin, scenario, [body], group="miss")
        misses = list(islice(new, max(1, round(number * _ZIPF_MISSES))))
        chance = random.Random(1)
        requests = [*_zipf(chance, known, number - len(misses)), *misses]
        chance.shuffle(requests)
        result, cpu = with_cpu_seconds(
            server, lambda: generate_load(server.port, requests, connections=_CONNECTIONS)
        )
        return [
            number / result.wall_seconds,
            1000 * cpu / number,
            *_percentiles(result.groups["hit"]),
            *_percentiles(result.groups["miss"]),
        ]

    _measure_each(bench.cached, table, ZIPF, measure)
    return table


def run_page(bench: Bench) -> Table:
    """Pages of a browser: a large image, cards and avatars, at first all of them new."""
    pages = bench.plan.scaled(_PAGES, least=2)
    count = sum(number for _, number in _PAGE_PARTS)
    table = Table(
        "A page",
        f"{count} new images of 12 megapixels: a hero of 1600 pixels, cards of 800x600, avatars of "
        f"200x200, over {_PAGE_CONNECTIONS} connections; {pages} pages one after the other, then "
        "all of them again. Milliseconds until a page is complete.",
        (
            "scenario", "server", "new page p50", "max", "CPU ms a page", "kB a page",
            "page again p50", "max",
        ),
    )  # fmt: skip

    def measure(server: Server) -> list[float]:
        parts = []
        size = 0
        for scenario, number in _PAGE_PARTS:
            (body,), _ = first_responses(server, bench.origin, scenario)
            size += len(body) * number
            parts.append((uncached_requests(server, bench.origin, scenario, [body]), number))
        requests = [
            [request for part, number in parts for request in islice(part, number)]
            for _ in range(pages)
        ]

        def load() -> list[float]:
            return [
                1000 * generate_load(server.port, page, connections=_PAGE_CONNECTIONS).wall_seconds
                for page in requests
            ]

        before = server.cpu_seconds()
        new = load()
        cpu = server.cpu_seconds() - before
        wait_until_idle(server)
        again = load()
        return [
            median(new), max(new), 1000 * cpu / pages, size / 1000, median(again), max(again)
        ]  # fmt: skip

    _measure_each(bench.cached, table, PAGE, measure)
    return table


def run_start(bench: Bench) -> Table:
    """The first seconds after a start with an empty cache, with all callers there at once."""
    first, last = (max(1.0, seconds * min(1.0, bench.plan.scale)) for seconds in _START_SECONDS)
    table = Table(
        f"The first {last:g} seconds",
        f"{_CONNECTIONS} connections from the start on, with an empty cache: {_START_LINKS:,} "
        "cards, the n-th 1/n as often as the first.",
        (
            "scenario", "server", "ready ms", f"answers in {first:g} s", "p50 ms", "p99 ms",
            f"answers in {last:g} s", "p50 ms", "p99 ms", "CPU s",
        ),
    )  # fmt: skip
    scenario = _scenario("card")

    def measure(server: Server) -> list[float | str]:
        (body,), _ = first_responses(server, bench.origin, scenario)
        server.restart()
        links = list(
            islice(uncached_requests(server, bench.origin, scenario, [body]), _START_LINKS)
        )
        requests = list(_zipf(random.Random(1), links, _START_REQUESTS))
        early = generate_load(
            server.port,
            requests,
            connections=_CONNECTIONS,
            seconds=max(0.5, first - server.start_seconds),
        )
        rest = requests[len(early.all) % len(requests) :] + requests
        late = generate_load(server.port, rest, connections=_CONNECTIONS, seconds=last - first)
        cpu = server.cpu_seconds()
        both = LoadResult({"": early.all + late.all})
        return [
            1000 * server.start_seconds,
            str(len(early.all)),
            *_percentiles(early.all),
            str(len(both.all)),
            *_percentiles(both.all),
            cpu,
        ]

    _measure_each(bench.cached, table, START, measure)
    return table


def _measure_each(
    servers: Sequence[Server],
    table: Table,
    name: str,
    measure: Callable[[Server], Sequence[float | str]],
) -> None:
    for server in servers:
        report_progress(f"{name}: {server.name}")
        try:
            table.add(name, server.name, *measure(server))
        except (WrongResponse, WrongImage, NotStarted, OSError) as error:
            table.add_error(name, server.name, str(error) or type(error).__name__)


def _zipf(chance: random.Random, requests: Sequence[Request], number: int) -> list[Request]:
    """``number`` of these requests by Zipf's law: the n-th comes as often as 1/n says."""
    weights = list(accumulate(1 / rank for rank in range(1, len(requests) + 1)))
    return chance.choices(requests, cum_weights=weights, k=number)


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    return 1000 * percentile(seconds, 0.5), 1000 * percentile(seconds, 0.99)


def _scenario(name: str) -> Scenario:
    return next(one for one in COLD if one.name == name)
