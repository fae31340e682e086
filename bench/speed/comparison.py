"""Start the servers, run the scenarios in order, and collect their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cold
import equal_look
import hits
import spikes
import traffic
from corpus import make_originals
from measure import Bench, RunPlan, report_progress
from paths import WORK
from results import Results
from scenarios import (
    EQUAL_LOOK,
    NEIGHBOR,
    PAGE,
    SPIKE,
    START,
    ZIPF,
    as_they_ship_names,
    hit_names,
    same_effort_names,
)
from servers import (
    SERVERS,
    AsgiFloor,
    CachingProxy,
    Framekeep,
    FramekeepProxy,
    NotStarted,
    Server,
    StaticFiles,
)
from servers.server import Efforts
from tables import Table, results_table, versions_table

_TABLES: Sequence[tuple[str, Callable[[Bench], Table]]] = (
    (EQUAL_LOOK, equal_look.run_equal_look),
    (ZIPF, traffic.run_zipf),
    (PAGE, traffic.run_page),
    (SPIKE, spikes.run_spike),
    (NEIGHBOR, spikes.run_neighbor),
    (START, traffic.run_start),
)
_AS_THEY_SHIP = (
    "Whatever a link does not say is left to each server's defaults. `+ nginx` is a server without "
    "a cache, or Framekeep, behind nginx with `proxy_cache`."
)
_SAME_EFFORT = (
    f"WebP with libwebp's method {cold.SAME_EFFORTS.webp} and AVIF with libaom's speed "
    f"{cold.SAME_EFFORTS.avif_speed}, which sharp, IPX and imagor have by default, in all servers."
)


class OriginNotStarted(Exception):
    """Without originals nothing can be measured."""


@dataclass
class Comparison:
    """``kinds`` are names of servers, or none for all; ``workers`` None is each one's default."""

    plan: RunPlan
    folder: Path
    kinds: Sequence[str] = ()
    workers: int | None = None
    _versions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def run(self) -> Iterator[Table]:
        """Each table as soon as it is complete. Raises OriginNotStarted."""
        originals = make_originals(WORK / "corpus")
        origin = StaticFiles(self.folder, "origin", WORK / "corpus")
        with ExitStack() as closing:
            if why := _start(closing, origin):
                raise OriginNotStarted(why)
            bench = Bench(self.plan, origin, originals, (), ())
            if self._is_any_selected(as_they_ship_names()):
                yield self._run_as_they_ship(bench)
            if self._is_any_selected(same_effort_names()):
                yield self._run_same_effort(bench)
            selected = [run for name, run in _TABLES if self.plan.is_selected(name)]
            if selected:
                with self._servers(bench) as (_, bench):
                    for run in selected:
                        yield run(bench)
        yield versions_table(self._versions)

    def _run_as_they_ship(self, base: Bench) -> Table:
        results = Results()
        with self._servers(base) as (closing, bench):
            cold.run_as_they_ship(bench, results)
            cold.run_herds(bench, results)
            if self._is_any_selected(hit_names()):
                self._run_hits(closing, bench, results)
            hits.run_under_load(bench, results)
        return results_table("As they ship", _AS_THEY_SHIP, results, self.plan)

    def _run_hits(self, closing: ExitStack, bench: Bench, results: Results) -> None:
        files = self.folder / "files"
        files.mkdir()
        proxies = [
            FramekeepProxy(self.folder, server, workers=self.workers)
            for server in bench.servers
            if isinstance(server, Framekeep)
        ]
        servers = [*bench.cached, *self._start_all(closing, proxies)]
        requests = hits.prepare_hits(bench, results, servers, files)
        floors: list[Server] = [
            StaticFiles(self.folder, "nginx", files, workers=self.workers),
            AsgiFloor(self.folder, files, workers=self.workers),
        ]
        hits.run_hits(bench, results, requests, servers, self._start_all(closing, floors))

    def _run_same_effort(self, base: Bench) -> Table:
        """The effort is a setting of most servers, so these are others than before."""
        # CPU time hardly depends on the number of connections, so one number will do.
        plan = replace(self.plan, connection_counts=(min(self.plan.connection_counts),))
        results = Results()
        with self._servers(replace(base, plan=plan), cold.SAME_EFFORTS) as (_, bench):
            cold.run_same_effort(bench, results)
        return results_table("The same encoder effort", _SAME_EFFORT, results, plan)

    @contextmanager
    def _servers(
        self, bench: Bench, efforts: Efforts | None = None
    ) -> Iterator[tuple[ExitStack, Bench]]:
        """The bench with all servers that start, and what stops more of them in the end."""
        with ExitStack() as closing:
            servers = self._start_all(closing, self._chosen_servers(efforts))
            proxies = self._start_all(
                closing,
                [
                    CachingProxy(self.folder, server, workers=self.workers)
                    for server in servers
                    if not server.caches_results
                ],
            )
            cached = [*(server for server in servers if server.caches_results), *proxies]
            yield closing, replace(bench, servers=servers, cached=cached)

    def _is_any_selected(self, names: Iterable[str]) -> bool:
        return any(map(self.plan.is_selected, names))

    def _chosen_servers(self, efforts: Efforts | None = None) -> list[Server]:
        return [
            kind(self.folder, workers=self.workers, efforts=efforts)
            for kind in SERVERS
            if not self.kinds or kind.name in self.kinds
        ]

    def _start_all(self, closing: ExitStack, servers: Sequence[Server]) -> list[Server]:
        """Those that start; all of them are rows of the table of versions."""
        started = []
        for server in servers:
            why = _start(closing, server)
            version = "-" if server.missing() else server.version()
            start = why or f"{1000 * server.start_seconds:.0f} ms"
            if why or server.name not in self._versions:
                self._versions[server.name] = version, start
            if not why:
                started.append(server)
        return started


def _start(closing: ExitStack, server: Server) -> str:
    """Start a server, and stop it in the end; returns why it did not start, or ""."""
    report_progress(f"start {server.name}")
    if missing := server.missing():
        return f"not installed: {missing}"
    try:
        server.start()
    except NotStarted as error:
        return str(error)
    closing.callback(server.stop)
    return ""
