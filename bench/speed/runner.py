"""Run the scenarios in rounds: servers take turns, so that all have the same conditions."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import proc_stats
from image_checks import WrongImage, decode_checked, reference_images, ssim
from load_generator import LoadResult, Request, WrongResponse, generate_load, get_request, send_once
from measure import (
    CORES,
    Measurements,
    first_responses,
    libvips_cpu_ms,
    run_cold,
    run_herd,
    run_hot,
    uncached_requests,
    with_cpu_seconds,
)
from scenarios import AVATAR, COLD, HITS, Scenario
from servers import Nginx, NginxCache, Server
from statistics_table import median

FLOOR = "libvips-floor"
_MEMORY_SCENARIO = "progressive"
_SETTLE_SECONDS = 3.0
_HERD = 64
_MAX_COLD_REQUESTS = 4000
_MAX_LOAD_REQUESTS = 2000  # more than any server renders during a measurement
_MAX_VARIANTS = 8  # different bodies for one image spec


@dataclass(frozen=True)
class RunPlan:
    """``seconds`` is the length of one run; ``selected`` are parts of scenario names, or None."""

    rounds: int
    seconds: float
    connection_counts: tuple[int, ...]
    selected: Sequence[str] | None = None

    def is_selected(self, scenario: str) -> bool:
        return not self.selected or any(part in scenario for part in self.selected)


class Runner:
    """``results`` holds the measurements by scenario and server."""

    def __init__(
        self,
        plan: RunPlan,
        servers: Sequence[Server],
        origin: Nginx,
        originals: Mapping[str, Path],
    ) -> None:
        self.plan = plan
        self.results: dict[tuple[str, str], Measurements] = {}
        self._servers = servers
        self._origin = origin
        self._originals = originals

    def cpu(self, scenario: str, server: str) -> float | None:
        """CPU milliseconds a request, the median of all rounds."""
        values = self.results[scenario, server].cpu
        return median(values) if values else None

    def ratio_to_floor(self, scenario: str, server: str) -> float | None:
        """CPU of the server by that of the floor: the median of the ratio of each round."""
        floor = self.results.get((scenario, FLOOR))
        if floor is None or server == FLOOR:
            return None
        pairs = zip(self.results[scenario, server].cpu, floor.cpu, strict=False)
        ratios = [cpu / floor_cpu for cpu, floor_cpu in pairs]
        return median(ratios) if ratios else None

    def run_cold(self) -> None:
        for scenario in COLD:
            if self.plan.is_selected(scenario.name):
                self._run_cold(scenario)
        if self.plan.is_selected("herd"):
            self._run_herds()

    def _results(self, scenario: str, server: str) -> Measurements:
        return self.results.setdefault((scenario, server), Measurements())

    def _run_cold(self, scenario: Scenario) -> None:
        _report(scenario.name)
        original = self._originals[scenario.original]
        floor = self._results(scenario.name, FLOOR)
        first = {}
        for server in self._servers:
            results = self._results(scenario.name, server.name)
            bodies, _ = first_responses(server, self._origin, scenario)
            try:
                images = [
                    decode_checked(body, spec, server.name)
                    for spec, body in zip(scenario.specs, bodies, strict=True)
                ]
            except WrongImage as error:
                results.error = str(error)
                continue
            _, seconds = first_responses(server, self._origin, scenario)
            first[server.name] = bodies, seconds
            results.bytes = sum(map(len, bodies))
            if scenario.has_reference:
                references = reference_images(original, scenario.specs[0])
                results.ssim = max(ssim(images[0], reference) for reference in references)
        for _ in range(self.plan.rounds):
            floor.cpu.append(
                sum(libvips_cpu_ms(original, spec, self.plan.seconds) for spec in scenario.specs)
            )
            for server in self._servers:
                if server.name in first:
                    self._run_cold_round(scenario, server, *first[server.name])
        if scenario.name == _MEMORY_SCENARIO:
            self._measure_memory(scenario, first)

    def _run_cold_round(
        self, scenario: Scenario, server: Server, bodies: Sequence[bytes], seconds: float
    ) -> None:
        """``seconds`` is what all renditions of one original take."""
        results = self.results[scenario.name, server.name]
        size = len(scenario.specs)
        for connections in self.plan.connection_counts:
            renderable = self.plan.seconds / seconds * min(connections, CORES)
            count = size * max(connections * 2 // size, round(renderable), 2)
            try:
                result, cpu = run_cold(
                    server,
                    self._origin,
                    scenario,
                    bodies,
                    connections=connections,
                    count=min(count, _MAX_COLD_REQUESTS),
                )
                _check_unexpected_bodies(result, scenario, server.name)
            except (WrongResponse, WrongImage) as error:
                results.error = str(error)
                continue
            # One CPU value a round: it hardly depends on the number of connections.
            is_last = connections == self.plan.connection_counts[-1]
            results.add(result, connections, cpu if is_last else None, per=size)

    def _measure_memory(
        self, scenario: Scenario, first: Mapping[str, tuple[list[bytes], float]]
    ) -> None:
        """Memory for this scenario alone: every server is restarted before it."""
        for server in self._servers:
            if server.name not in first:
                continue
            server.stop()
            server.start()
            results = self.results[scenario.name, server.name]
            bodies, _ = first[server.name]
            with proc_stats.watch_peak_memory(server.pid) as peak:
                run_cold(server, self._origin, scenario, bodies, connections=16, count=64)
            time.sleep(_SETTLE_SECONDS)
            results.peak_memory = peak.highest
            results.memory_after = proc_stats.memory_bytes(server.pid)

    def _run_herds(self) -> None:
        _report("herd")
        scenario = next(one for one in COLD if one.specs == (AVATAR,))
        for server in self._servers:
            (body,), _ = first_responses(server, self._origin, scenario)
            results = self._results(f"herd of {_HERD}", server.name)
            herds = 20 if server.caches_results else 1
            for _ in range(self.plan.rounds):
                result, cpu = run_herd(
                    server, self._origin, scenario, body, connections=_HERD, herds=herds
                )
                results.add(result, _HERD, cpu, per=_HERD)

    def prepare_hits(self, files: Path) -> dict[str, dict[str, Request]]:
        """Requests that are hits, by scenario and server; writes the bodies that floors serve.

        Of all qualities, the one whose body comes closest to the scenario's size is used.
        """
        requests: dict[str, dict[str, Request]] = {}
        names = [name for name in (*HITS, "304") if self.plan.is_selected(name)]
        caching = [server for server in self._servers if server.caches_results]
        if not caching:
            return {}
        for name in names:
            size, spec = HITS.get(name, HITS["hit 9 kB"])
            requests[name] = {}
            for server in caching:
                best: tuple[int, Request] | None = None
                for quality in range(20, 100, 5):
                    source = self._origin.url("photo0.jpg", 0)
                    link = server.link(replace(spec, quality=quality), source)
                    data = get_request(link, server.port)
                    _, head, body = send_once(server.port, Request(data))
                    distance = abs(len(body) - size)
                    if best is None or distance < best[0]:
                        best = distance, _hit_request(name, data, head, body)
                        if server is caching[0]:
                            (files / str(size)).write_bytes(body)
                requests[name][server.name] = best[1]  # type: ignore[index]
        return requests

    def run_hits(
        self,
        requests: Mapping[str, Mapping[str, Request]],
        proxies: Sequence[NginxCache],
        floors: Sequence[Server],
    ) -> None:
        for name, by_server in requests.items():
            _report(name)
            size = HITS.get(name, HITS["hit 9 kB"])[0]
            all_requests = dict(by_server)
            for floor in floors:
                data = get_request(f"/{size}", floor.port)
                _, head, body = send_once(floor.port, Request(data))
                all_requests[floor.name] = _hit_request(name, data, head, body)
            for proxy in proxies:
                all_requests[proxy.name] = by_server[proxy.upstream.name]
            measured = [one for one in self._servers if one.name in by_server]
            servers = [*measured, *proxies, *floors]
            for _ in range(self.plan.rounds):
                for server in servers:
                    request = all_requests[server.name]
                    results = self._results(name, server.name)
                    results.bytes = len(request.body or b"")
                    for connections in self.plan.connection_counts:
                        result, cpu = run_hot(server, request, connections, self.plan.seconds)
                        is_last = connections == self.plan.connection_counts[-1]
                        results.add(result, connections, cpu if is_last else None)

    def run_under_load(self) -> None:
        """Hits and health checks, alone and while the server renders as much as it can."""
        if not self.plan.is_selected("under load"):
            return
        _report("under load")
        scenario = COLD[0]
        for server in self._servers:
            if not server.caches_results:
                continue
            (body,), _ = first_responses(server, self._origin, scenario)
            hit = next(uncached_requests(server, self._origin, scenario, [body]))
            send_once(server.port, hit)
            self._run_mixed(server, scenario, hit, body)
            requests = {"hit": hit, "health": Request(get_request(server.health, server.port))}
            for what, request in requests.items():
                for loaded in (False, True):
                    name = f"{what} {'under load' if loaded else 'when idle'}"
                    results = self._results(name, server.name)
                    for _ in range(self.plan.rounds):
                        with self._render_load(server, scenario, body, running=loaded):
                            seconds = max(2.0, self.plan.seconds)
                            result = generate_load(
                                server.port, [request], connections=4, seconds=seconds
                            )
                        results.add(result, self._nearest_count(4), None)

    def _run_mixed(self, server: Server, scenario: Scenario, hit: Request, body: bytes) -> None:
        """One request in a hundred is a miss; the latency is that of the hits."""
        results = self._results("1 % cold, under load", server.name)
        for _ in range(self.plan.rounds):
            misses = uncached_requests(server, self._origin, scenario, [body])
            requests = []
            for _ in range(round(20 * self.plan.seconds)):
                requests += [replace(hit, body=body, group="hit")] * 99
                requests.append(replace(next(misses), group="cold"))
            result, cpu = with_cpu_seconds(
                server,
                lambda requests=requests: generate_load(server.port, requests, connections=16),
            )
            hits = LoadResult({"hit": result.groups["hit"]}, result.wall_seconds)
            results.add(hits, self._nearest_count(16), cpu)

    def _nearest_count(self, connections: int) -> int:
        """The column of the table whose number of connections is nearest."""
        return min(self.plan.connection_counts, key=lambda count: abs(count - connections))

    @contextmanager
    def _render_load(
        self, server: Server, scenario: Scenario, body: bytes, *, running: bool
    ) -> Iterator[None]:
        """While the block runs, 16 connections request uncached renditions.

        They have a process of their own, so that the measurement does not wait for them.
        """
        if not running:
            yield
            return

        requests = list(
            islice(uncached_requests(server, self._origin, scenario, [body]), _MAX_LOAD_REQUESTS)
        )
        load = multiprocessing.get_context("fork").Process(
            target=generate_load, args=(server.port, requests), kwargs={"connections": 16}
        )
        load.start()
        try:
            yield
        finally:
            load.terminate()
            load.join()


def _hit_request(name: str, data: bytes, head: bytes, body: bytes) -> Request:
    """A request whose response is known; conditional for the scenario "304"."""
    if name != "304":
        return Request(data, body=body)
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"etag:"):
            etag = line.partition(b":")[2].strip()
            return Request(data[:-2] + b"If-None-Match: " + etag + b"\r\n\r\n", status=304)
    return Request(data)


def _check_unexpected_bodies(result: LoadResult, scenario: Scenario, server: str) -> None:
    """Raise unless every unexpected body is a right image, and there are few of them."""
    if len(result.unexpected_bodies) > _MAX_VARIANTS * len(scenario.specs):
        raise WrongResponse(f"{server} rendered more than {_MAX_VARIANTS} different bodies")
    for spec, body in result.unexpected_bodies:
        decode_checked(body, scenario.specs[spec], server)


def _report(scenario: str) -> None:
    print("bench:", scenario, file=sys.stderr, flush=True)
