"""Measure Framekeep, other image servers and performance floors; print tables in Markdown."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))

import proc_stats
from comparison import Comparison, OriginNotStarted
from install import install
from measure import RunPlan
from scenarios import all_names
from servers import SERVERS
from tables import place_report

_CONNECTIONS = (1, 16)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped"))  # and end all servers
    install()
    plan = RunPlan(
        rounds=options.rounds or (1 if options.quick else 2),
        seconds=options.seconds or (0.5 if options.quick else 1.0),
        connection_counts=tuple(options.connections or _CONNECTIONS),
        scale=0.2 if options.quick else 1.0,
        selected=options.scenario,
    )
    report = (
        f"{proc_stats.describe_machine()}; {plan.rounds} round{'s' * (plan.rounds > 1)} of "
        f"{plan.seconds:g} s, medians."
    )
    print(report)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        comparison = Comparison(plan, Path(folder), options.server or (), options.workers)
        try:
            for table in comparison.run():
                report += f"\n\n{table.markdown()}"
                print(f"\n{table.markdown()}", flush=True)
        except OriginNotStarted as error:
            sys.exit(f"bench: {error}")
    if options.markdown:
        path = options.markdown
        path.write_text(place_report(report, path.read_text() if path.exists() else ""))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, a few minutes")
    parser.add_argument(
        "--scenario",
        action="append",
        type=_scenario,
        help="only scenarios with this in their name (repeatable): "
        f"{', '.join(all_names()).replace('%', '%%')}",
    )
    parser.add_argument(
        "--server",
        action="append",
        choices=[kind.name for kind in SERVERS],
        help="only this server (repeatable)",
    )
    parser.add_argument(
        "--connections",
        action="append",
        type=_positive,
        help="number of connections (repeatable; default: 1 and 16)",
    )
    parser.add_argument("--rounds", type=_positive, help="number of rounds; medians are printed")
    parser.add_argument("--seconds", type=float, help="length of one run")
    parser.add_argument(
        "--workers", type=_positive, help="processes of each server (default: its own default)"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="also write the tables into this file: between its marks, or all of it without marks",
    )
    return parser.parse_args()


def _scenario(text: str) -> str:
    if not any(text in name for name in all_names()):
        raise argparse.ArgumentTypeError(f"no scenario has {text!r} in its name")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
