"""Measure Framekeep, other image servers and performance floors; print one Markdown table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import proc_stats
from corpus import make_originals
from install import install
from runner import Runner, RunPlan
from servers import SERVERS, WORK, AsgiFloor, Framekeep, Nginx, NginxCache, NotStarted, Server
from statistics_table import format_number, markdown_table

_CONNECTIONS = (1, 4, 16, 64)


def main() -> None:
    options = _options()
    install()
    originals = make_originals(WORK / "corpus")
    default_connections = (1, 16) if options.quick else _CONNECTIONS
    plan = RunPlan(
        rounds=options.rounds or (1 if options.quick else 3),
        seconds=options.seconds or (1.0 if options.quick else 3.0),
        connection_counts=tuple(options.connections or default_connections),
        selected=options.scenario,
    )
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        files = folder / "files"
        files.mkdir()

        def start(server: Server) -> Server:
            server.start()
            closing.callback(server.stop)
            return server

        origin = Nginx(folder, 1, files=WORK / "corpus", name="origin")
        start(origin)
        servers = []
        for kind in SERVERS:
            if kind.is_installed() and (not options.server or kind.name in options.server):
                try:
                    servers.append(start(kind(folder, options.workers)))
                except NotStarted as error:
                    sys.exit(f"bench: {error}\n{(folder / kind.name / 'log').read_text()[-2000:]}")
        runner = Runner(plan, servers, origin, originals)
        runner.run_cold()
        hits = runner.prepare_hits(files)
        if hits:
            floors = [
                start(Nginx(folder, options.workers, files=files)),
                start(AsgiFloor(folder, options.workers, files=files)),
            ]
            upstreams = [server for server in servers if isinstance(server, Framekeep)]
            proxies = [NginxCache(folder, options.workers, upstream=one) for one in upstreams]
            for proxy in proxies:
                start(proxy)
            runner.run_hits(hits, proxies, floors)
        runner.run_under_load()
        _print(runner, servers, plan)


def _print(runner: Runner, servers: list[Server], plan: RunPlan) -> None:
    head = ["scenario", "server", "CPU ms", "x floor"]
    head += [f"{count} connections: /s, p50, p99 ms" for count in plan.connection_counts]
    head += ["kB", "SSIM", "peak MB", "MB after"]
    rows = []
    for (scenario, name), results in runner.results.items():
        row = [
            scenario,
            name,
            format_number(runner.cpu(scenario, name)),
            format_number(runner.ratio_to_floor(scenario, name)),
        ]
        for count in plan.connection_counts:
            if count in results.rates:
                p50, p99 = map(format_number, results.latency(count))
                row.append(f"{format_number(results.rate(count))}, {p50}, {p99}")
            else:
                row.append("-")
        row.append(format_number(results.bytes / 1000 if results.bytes else None))
        row.append("-" if results.ssim is None else f"{results.ssim:.4f}")
        row += [
            format_number(size / 2**20 if size else None)
            for size in (results.peak_memory, results.memory_after)
        ]
        rows.append(row)
    for server in servers:
        blank = ["-"] * (len(head) - 5)
        start_time = f"{1000 * server.start_seconds:.0f} ms"
        rows.append(["start", server.name, "-", "-", start_time, *blank])
    machine = proc_stats.describe_machine()
    print(f"{machine}; {plan.rounds} rounds of {plan.seconds:g} s, medians.\n")
    print(markdown_table(head, rows))
    for (scenario, name), results in runner.results.items():
        if results.error:
            print(f"\n{scenario}, {name}: {results.error[:300]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, a few minutes")
    parser.add_argument(
        "--scenario", action="append", help="only scenarios with this in their name (repeatable)"
    )
    parser.add_argument("--server", action="append", help="only this server (repeatable)")
    parser.add_argument(
        "--connections",
        action="append",
        type=int,
        help="number of connections (repeatable; default: 1, 4, 16 and 64)",
    )
    parser.add_argument("--rounds", type=int, help="number of rounds; medians are printed")
    parser.add_argument("--seconds", type=float, help="length of one run")
    parser.add_argument("--workers", type=int, default=2, help="HTTP workers of each server")
    return parser.parse_args()


if __name__ == "__main__":
    main()
