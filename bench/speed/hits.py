"""Cached renditions, alone and while the server renders as much as it can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from load_generator import (
    LoadResult,
    Request,
    WrongResponse,
    generate_load,
    get_request,
    load_beside,
    send_once,
)
from measure import (
    Bench,
    first_responses,
    report_progress,
    run_hot,
    uncached_requests,
    wait_until_idle,
)
from results import Measurements, Results
from scenarios import COLD, HITS, LOADS, MIXED, NOT_MODIFIED, ImageSpec, hit_names, load_names
from servers import Server, StaticFiles

_QUALITIES = range(20, 100, 5)
_LOAD_CONNECTIONS = 16


def prepare_hits(
    bench: Bench, results: Results, servers: Sequence[Server], files: Path
) -> dict[str, dict[str, Request]]:
    """Requests that are hits, by scenario and server; writes the bodies that floors serve."""
    requests: dict[str, dict[str, Request]] = {}
    found: dict[tuple[str, int], Request] = {}
    for name in hit_names():
        if not bench.plan.is_selected(name):
            continue
        size, spec = _size_and_spec(name)
        requests[name] = {}
        for server in servers:
            with results.of(name, server.name).noting_errors():
                if (server.name, size) not in found:
                    found[server.name, size] = _nearest_hit(server, bench.origin, spec, size)
                hit = found[server.name, size]
                file = files / str(size)
                if not file.exists():
                    file.write_bytes(hit.body or b"")
                requests[name][server.name] = _request_of(name, server, hit)
    return requests


def run_hits(
    bench: Bench,
    results: Results,
    requests: Mapping[str, dict[str, Request]],
    servers: Sequence[Server],
    floors: Sequence[Server],
) -> None:
    for name, by_server in requests.items():
        report_progress(name)
        size, _ = _size_and_spec(name)
        for floor in floors:
            with results.of(name, floor.name).noting_errors():
                hit = Request(get_request(f"/{size}", floor.port))
                _, _, body = send_once(floor.port, hit)
                by_server[floor.name] = _request_of(name, floor, replace(hit, body=body))
        for _ in range(bench.plan.rounds):
            for server in [*servers, *floors]:
                if server.name not in by_server:
                    continue
                request = by_server[server.name]
                measured = results.of(name, server.name)
                measured.bytes = len(request.body or b"")
                with measured.noting_errors():
                    for connections in bench.plan.connection_counts:
                        result, cpu = run_hot(server, request, connections, bench.plan.seconds)
                        is_last = connections == bench.plan.connection_counts[-1]
                        measured.add(result, connections, cpu if is_last else None)


def run_under_load(bench: Bench, results: Results) -> None:
    """Hits and health checks, alone and while the server renders as much as it can."""
    names = [name for name in load_names() if bench.plan.is_selected(name)]
    if not names:
        return
    report_progress("under load")
    scenario = COLD[0]
    for server in bench.cached:
        with results.of(names[0], server.name).noting_errors():
            (body,), _ = first_responses(server, bench.origin, scenario)
            misses = uncached_requests(server, bench.origin, scenario, [body], group="miss")
            hit = replace(next(misses), group="hit")
            send_once(server.port, hit)
            if MIXED in names:
                _run_mixed(bench, results.of(MIXED, server.name), server, hit, misses)
            requests = {"hit": hit}
            if server.health:
                requests["health"] = Request(get_request(server.health, server.port))
            for what, request in requests.items():
                for when in LOADS:
                    name = f"{what} {when}"
                    if name in names:
                        measured = results.of(name, server.name)
                        load = list(islice(misses, LOADS[when]))
                        _run_beside(bench, measured, server, request, load)


def _size_and_spec(name: str) -> tuple[int, ImageSpec]:
    return HITS.get(name) or next(iter(HITS.values()))


def _nearest_hit(server: Server, origin: StaticFiles, spec: ImageSpec, size: int) -> Request:
    """A cached rendition: of all qualities, the one whose body comes closest to ``size``."""
    hits = []
    for quality in _QUALITIES:
        source = origin.url("photo0.jpg", 0)
        data = get_request(server.link(replace(spec, quality=quality), source), server.port)
        status, _, body = send_once(server.port, Request(data))
        if status != 200:
            raise WrongResponse(f"status {status}: {body[:200].decode(errors='replace')}")
        hits.append(Request(data, body=body))
    return min(hits, key=lambda hit: abs(len(hit.body or b"") - size))


def _request_of(name: str, server: Server, hit: Request) -> Request:
    """The hit, or a conditional request for it that is answered with 304."""
    if name != NOT_MODIFIED:
        return hit
    _, head, _ = send_once(server.port, hit)
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    headers = {field.lower(): value.strip() for field, _, value in lines}
    if b"etag" in headers:
        condition = b"If-None-Match: " + headers[b"etag"]
    elif b"last-modified" in headers:
        condition = b"If-Modified-Since: " + headers[b"last-modified"]
    else:
        raise WrongResponse("it sends neither ETag nor Last-Modified")
    request = Request(hit.data[:-2] + condition + b"\r\n\r\n", status=304)
    status, _, _ = send_once(server.port, request)
    if status != 304:
        raise WrongResponse(f"it answers {status} to {condition.decode()}")
    return request


def _run_mixed(
    bench: Bench, measured: Measurements, server: Server, hit: Request, misses: Iterator[Request]
) -> None:
    """One request in a hundred is a miss; the latency is that of the hits."""
    for _ in range(bench.plan.rounds):
        count = max(1, round(20 * bench.plan.seconds))
        requests = [one for miss in islice(misses, count) for one in [*[hit] * 99, miss]]
        before = server.cpu_seconds()
        result = generate_load(server.port, requests, connections=_LOAD_CONNECTIONS)
        cpu = server.cpu_seconds() - before
        hits = LoadResult({"hit": result.groups["hit"]}, result.wall_seconds)
        measured.add(hits, _nearest_count(bench, _LOAD_CONNECTIONS), cpu)


def _run_beside(
    bench: Bench,
    measured: Measurements,
    server: Server,
    request: Request,
    load: Sequence[Request],
) -> None:
    """Send the request again and again, while others send the requests of the load."""
    for _ in range(bench.plan.rounds):
        wait_until_idle(server)
        with measured.noting_errors(), _sending(server, load):
            seconds = max(2.0, bench.plan.seconds)
            result = generate_load(server.port, [request], connections=4, seconds=seconds)
            measured.add(result, _nearest_count(bench, 4), None)


def _nearest_count(bench: Bench, connections: int) -> int:
    """The column of the table whose number of connections is nearest."""
    return min(bench.plan.connection_counts, key=lambda count: abs(count - connections))


@contextmanager
def _sending(server: Server, requests: Sequence[Request]) -> Iterator[None]:
    """While the block runs, 16 connections send these requests, if there are any."""
    if not requests:
        yield
        return
    with load_beside(server.port, requests, connections=_LOAD_CONNECTIONS):
        yield
