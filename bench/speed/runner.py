"""The rounds: every server in turn, again and again, so that all have the same weather."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import proc_stats
from image_checks import WrongPicture, check, references, ssim
from load_generator import Ask, Times, WrongAnswer, call, get, once
from measure import CORES, Found, bare_loop, cold, first_answers, fresh, herd, hot, used
from scenarios import AVATAR, COLD, HITS, Scenario
from servers import Front, Nginx, Server
from statistics_table import median

FLOOR = "bare loop"
_MEMORY = "progressive"
_SETTLES_IN = 3.0
_HERD = 64
_MOST_LOAD = 2000  # cold questions: more than are answered while anything is measured
_MOST_WAYS = 8  # to the same picture


@dataclass(frozen=True)
class Plan:
    """``seconds`` is the length of a run, ``levels`` the numbers of callers."""

    rounds: int
    seconds: float
    levels: tuple[int, ...]
    wanted: Sequence[str] | None = None

    def wants(self, scenario: str) -> bool:
        return not self.wanted or any(word in scenario for word in self.wanted)


class Rounds:
    """``found`` holds what was found, by scenario and server."""

    def __init__(
        self,
        plan: Plan,
        servers: Sequence[Server],
        origin: Nginx,
        originals: Mapping[str, Path],
    ) -> None:
        self.plan = plan
        self.found: dict[tuple[str, str], Found] = {}
        self._servers = servers
        self._origin = origin
        self._originals = originals

    def cpu(self, scenario: str, server: str) -> float | None:
        values = self.found[scenario, server].cpu
        return median(values) if values else None

    def ratio(self, scenario: str, server: str) -> float | None:
        """CPU of the server to that of the floor, the median of each round's own ratio."""
        floor = self.found.get((scenario, FLOOR))
        if floor is None or server == FLOOR:
            return None
        pairs = zip(self.found[scenario, server].cpu, floor.cpu, strict=False)
        ratios = [mine / least for mine, least in pairs]
        return median(ratios) if ratios else None

    def run_cold(self) -> None:
        for scenario in COLD:
            if self.plan.wants(scenario.name):
                self._cold(scenario)
        if self.plan.wants("herd"):
            self._herds()

    def _cold(self, scenario: Scenario) -> None:
        _tell(scenario.name)
        original = self._originals[scenario.original]
        floor = self.found.setdefault((scenario.name, FLOOR), Found())
        known = {}
        for server in self._servers:
            found = self.found.setdefault((scenario.name, server.name), Found())
            bodies, _ = first_answers(server, self._origin, scenario)
            try:
                images = [
                    check(body, wish, server.name)
                    for wish, body in zip(scenario.wishes, bodies, strict=True)
                ]
            except WrongPicture as error:
                found.failed = str(error)
                continue
            _, seconds = first_answers(server, self._origin, scenario)
            known[server.name] = bodies, seconds
            found.bytes = sum(map(len, bodies))
            if scenario.compared:
                looks = references(original, scenario.wishes[0])
                found.ssim = max(ssim(images[0], one) for one in looks)
        size = len(scenario.wishes)
        for _ in range(self.plan.rounds):
            floor.cpu.append(
                sum(bare_loop(original, wish, self.plan.seconds) for wish in scenario.wishes)
            )
            for server in self._servers:
                if server.name not in known:
                    continue
                bodies, seconds = known[server.name]
                found = self.found[scenario.name, server.name]
                for level in self.plan.levels:
                    at_once = self.plan.seconds / seconds * min(level, CORES)
                    count = size * max(level * 2 // size, round(at_once), 2)
                    try:
                        times, cpu = cold(
                            server,
                            self._origin,
                            scenario,
                            bodies,
                            callers=level,
                            count=min(count, 4000),
                        )
                        _look_at(times, scenario, server.name)
                    except (WrongAnswer, WrongPicture) as error:
                        found.failed = str(error)
                        continue
                    # One figure for CPU a round: it hardly depends on who waits for whom.
                    busiest = level == self.plan.levels[-1]
                    found.add(times, level, cpu if busiest else None, per=size)
        if scenario.name == _MEMORY:
            self._memories(scenario, known)

    def _memories(self, scenario: Scenario, known: Mapping[str, tuple[list[bytes], float]]) -> None:
        """What this alone takes, each server begun anew: what came before may not be given back."""
        for server in self._servers:
            if server.name not in known:
                continue
            server.stop()
            server.start()
            found = self.found[scenario.name, server.name]
            with proc_stats.watching(server.pid) as peak:
                cold(server, self._origin, scenario, known[server.name][0], callers=16, count=64)
            time.sleep(_SETTLES_IN)
            found.peak, found.settled = peak.highest, proc_stats.memory(server.pid)

    def _herds(self) -> None:
        _tell("herd")
        scenario = next(one for one in COLD if one.wishes == (AVATAR,))
        for server in self._servers:
            (body,), _ = first_answers(server, self._origin, scenario)
            found = self.found.setdefault((f"herd of {_HERD}", server.name), Found())
            herds = 20 if server.keeps else 1
            for _ in range(self.plan.rounds):
                times, cpu = herd(server, self._origin, scenario, body, callers=_HERD, herds=herds)
                found.add(times, _HERD, cpu, per=_HERD)

    def hit_bodies(self, files: Path) -> dict[str, dict[str, Ask]]:
        """Questions that are hits, by scenario and server; floors serve the same bytes.

        The quality is the one whose bytes come closest to what the scenario's name says.
        """
        asks: dict[str, dict[str, Ask]] = {}
        names = [name for name in (*HITS, "304") if self.plan.wants(name)]
        keepers = [server for server in self._servers if server.keeps]
        if not keepers:
            return {}
        for name in names:
            size, wish = HITS.get(name, HITS["hit 9 kB"])
            asks[name] = {}
            for server in keepers:
                best: tuple[int, Ask] | None = None
                for quality in range(20, 100, 5):
                    turned = type(wish)(wish.width, wish.height, wish.format, quality)
                    source = self._origin.address("photo0.jpg", 0)
                    request = get(server.link(turned, source), server.port)
                    _, head, body = once(server.port, Ask(request))
                    away = abs(len(body) - size)
                    if best is None or away < best[0]:
                        best = away, self._known(name, request, head, body)
                        if server is keepers[0]:
                            (files / str(size)).write_bytes(body)
                asks[name][server.name] = best[1]  # type: ignore[index]
        return asks

    @staticmethod
    def _known(name: str, request: bytes, head: bytes, body: bytes) -> Ask:
        if name != "304":
            return Ask(request, body=body)
        return _conditional(request, head)

    def run_hits(
        self,
        asks: Mapping[str, Mapping[str, Ask]],
        fronts: Sequence[Front],
        floors: Sequence[Server],
    ) -> None:
        for name, by_server in asks.items():
            _tell(name)
            size = HITS.get(name, HITS["hit 9 kB"])[0]
            questions = dict(by_server)
            for floor in floors:
                request = get(f"/{size}", floor.port)
                _, head, body = once(floor.port, Ask(request))
                questions[floor.name] = self._known(name, request, head, body)
            for front in fronts:
                questions[front.name] = by_server[front.behind.name]
            measured = [one for one in self._servers if one.name in by_server]
            servers = [*measured, *fronts, *floors]
            for _ in range(self.plan.rounds):
                for server in servers:
                    ask = questions[server.name]
                    found = self.found.setdefault((name, server.name), Found())
                    found.bytes = len(ask.body or b"")
                    for level in self.plan.levels:
                        times, cpu = hot(server, ask, level, self.plan.seconds)
                        found.add(times, level, cpu if level == self.plan.levels[-1] else None)

    def run_under_load(self) -> None:
        """Hits, and the word on health, alone and while the server renders all it can."""
        if not self.plan.wants("under load"):
            return
        _tell("under load")
        scenario = COLD[0]
        for server in self._servers:
            if not server.keeps:
                continue
            (body,), _ = first_answers(server, self._origin, scenario)
            kept = next(fresh(server, self._origin, scenario, [body]))
            once(server.port, kept)
            self._mixed(server, scenario, kept, body)
            questions = {"hit": kept, "health": Ask(get(server.health, server.port))}
            for what, ask in questions.items():
                for loaded in (False, True):
                    name = f"{what} {'under load' if loaded else 'when idle'}"
                    found = self.found.setdefault((name, server.name), Found())
                    for _ in range(self.plan.rounds):
                        with self._load(server, scenario, body, running=loaded):
                            seconds = max(2.0, self.plan.seconds)
                            times = call(server.port, [ask], callers=4, seconds=seconds)
                        found.add(times, self._level(4), None)

    def _mixed(self, server: Server, scenario: Scenario, kept: Ask, body: bytes) -> None:
        """One question in a hundred is cold; told is how long the hits take."""
        found = self.found.setdefault(("1 % cold, under load", server.name), Found())
        for _ in range(self.plan.rounds):
            source = fresh(server, self._origin, scenario, [body])
            asks = []
            for _ in range(round(20 * self.plan.seconds)):
                ask = next(source)
                asks += [Ask(kept.request, body=body, group="hit")] * 99
                asks.append(Ask(ask.request, body=body, group="cold"))
            times, cpu = used(server, lambda asks=asks: call(server.port, asks, callers=16))
            hits = Times({"hit": times.groups["hit"]}, times.wall)
            found.add(hits, self._level(16), cpu)

    def _level(self, callers: int) -> int:
        """The column of the table that is nearest to so many callers."""
        return min(self.plan.levels, key=lambda level: abs(level - callers))

    @contextmanager
    def _load(
        self, server: Server, scenario: Scenario, body: bytes, *, running: bool
    ) -> Iterator[None]:
        """Sixteen callers who want what is cold, for as long as the block lasts.

        In a process of their own: whoever measures meanwhile shall not wait for them.
        """
        if not running:
            yield
            return

        asks = list(islice(fresh(server, self._origin, scenario, [body]), _MOST_LOAD))
        load = multiprocessing.get_context("fork").Process(
            target=call, args=(server.port, asks), kwargs={"callers": 16}
        )
        load.start()
        try:
            yield
        finally:
            load.terminate()
            load.join()


def _conditional(request: bytes, head: bytes) -> Ask:
    """The same question from somebody who has the answer already."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"etag:"):
            tag = line.partition(b":")[2].strip()
            return Ask(request[:-2] + b"If-None-Match: " + tag + b"\r\n\r\n", status=304)
    return Ask(request)


def _look_at(times: Times, scenario: Scenario, who: str) -> None:
    if len(times.others) > _MOST_WAYS * len(scenario.wishes):
        raise WrongAnswer(f"{who} answered in more than {_MOST_WAYS} ways")
    for wish, body in times.others:
        check(body, scenario.wishes[wish], who)


def _tell(what: str) -> None:
    print("bench:", what, file=sys.stderr, flush=True)
