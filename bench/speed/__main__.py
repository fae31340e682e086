"""Measures Framekeep beside its peers and its floors, and prints one Markdown table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import proc_stats
from corpus import corpus
from install import install
from runner import Plan, Rounds
from servers import PEERS, WORK, Bare, Framekeep, Front, Nginx, NotStarted, Server
from statistics_table import short, table

_LEVELS = (1, 4, 16, 64)


def main() -> None:
    options = _options()
    install()
    originals = corpus(WORK / "corpus")
    levels = tuple(options.callers or ((1, 16) if options.quick else _LEVELS))
    plan = Plan(
        rounds=options.rounds or (1 if options.quick else 3),
        seconds=options.seconds or (1.0 if options.quick else 3.0),
        levels=levels,
        wanted=options.scenario,
    )
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        files = folder / "files"
        files.mkdir()

        def started(server: Server) -> Server:
            server.start()
            closing.callback(server.stop)
            return server

        origin = Nginx(folder, 1, files=WORK / "corpus", name="origin")
        started(origin)
        servers = []
        for kind in PEERS:
            if kind.present() and (not options.server or kind.name in options.server):
                try:
                    servers.append(started(kind(folder, options.workers)))
                except NotStarted as error:
                    sys.exit(f"bench: {error}\n{(folder / kind.name / 'log').read_text()[-2000:]}")
        rounds = Rounds(plan, servers, origin, originals)
        rounds.run_cold()
        bodies = rounds.hit_bodies(files)
        if bodies:
            floors = [
                started(Nginx(folder, options.workers, files=files)),
                started(Bare(folder, options.workers, files=files)),
            ]
            behind = [server for server in servers if isinstance(server, Framekeep)]
            fronts = [Front(folder, options.workers, behind=server) for server in behind]
            for front in fronts:
                started(front)
            rounds.run_hits(bodies, fronts, floors)
        rounds.run_under_load()
        _print(rounds, servers, plan)


def _print(rounds: Rounds, servers: list[Server], plan: Plan) -> None:
    head = ["scenario", "server", "CPU ms", "x floor"]
    head += [f"{level} callers: /s, p50, p99 ms" for level in plan.levels]
    head += ["kB", "SSIM", "peak MB", "settled MB"]
    rows = []
    for (scenario, name), found in rounds.found.items():
        row = [
            scenario,
            name,
            short(rounds.cpu(scenario, name)),
            short(rounds.ratio(scenario, name)),
        ]
        for level in plan.levels:
            if level in found.rates:
                p50, p99 = found.latency(level)
                row.append(f"{short(found.rate(level))}, {short(p50)}, {short(p99)}")
            else:
                row.append("-")
        row.append(short(found.bytes / 1000 if found.bytes else None))
        row.append("-" if found.ssim is None else f"{found.ssim:.4f}")
        row += [short(size / 2**20 if size else None) for size in (found.peak, found.settled)]
        rows.append(row)
    for server in servers:
        blank = ["-"] * (len(head) - 5)
        rows.append(["start", server.name, "-", "-", f"{1000 * server.started_in:.0f} ms", *blank])
    print(f"{proc_stats.machine()}; {plan.rounds} rounds of {plan.seconds:g} s, medians.\n")
    print(table(head, rows))
    for (scenario, name), found in rounds.found.items():
        if found.failed:
            print(f"\n{scenario}, {name}: {found.failed[:300]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes: one short round")
    parser.add_argument("--scenario", action="append", help="only this one (may be repeated)")
    parser.add_argument("--server", action="append", help="only this peer (may be repeated)")
    parser.add_argument("--callers", action="append", type=int, help="only so many callers")
    parser.add_argument("--rounds", type=int, help="rounds, of which medians are taken")
    parser.add_argument("--seconds", type=float, help="of each run")
    parser.add_argument("--workers", type=int, default=2, help="HTTP workers of each server")
    return parser.parse_args()


if __name__ == "__main__":
    main()
