#!/usr/bin/env python3
"""Compare nice values of render processes: alone on the machine, and beside busy neighbours.

    bench/neighbour.py                    nice 0, 2, 5, 10, 15
    bench/neighbour.py --nice 0 5 --loops 8

Alone: 16 callers keep all cores rendering; a cached link and /health/live are asked for meanwhile.
That is what a higher nice value is good for. Beside: four busy loops of another session, as other
programs are, and one caller whose renders compete with them. That is what it costs.

Everything runs on loopback and on the same cores: the callers and the origin take their share.
"""

import argparse
import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "speed")]

from proc_stats import describe_machine
from spike import (
    STEPS,
    Times,
    link_request,
    make_pictures,
    run_callers,
    run_server,
    serve_origin,
)
from spike import measure as measure_spike

CALLERS = 16
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class World:
    """How the cached link, the health check and the renders fared."""

    hits: Times
    health: Times
    renders: Times


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Other programs that take all the CPU time that they get, each in a session of its own."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(pid: int, port: int, origin: int, numbers: range, *, tag: str, callers: int) -> World:
    """Render these pictures, each once, and ask for the cached link and for health meanwhile."""
    steps = STEPS["chain"]
    hit = link_request(steps, origin, "0-hit")
    asyncio.run(run_callers(port, [hit], 1))
    requests = [link_request(steps, origin, f"{number}-{tag}") for number in numbers]
    renders, (hits, health), _, _ = measure_spike([pid], port, requests, callers, [hit, HEALTH])
    return World(hits, health, renders)


def row(nice: int, alone: World, beside: World) -> str:
    def failed(world: World) -> int:
        counts = world.renders.statuses
        return sum(counts.values()) - counts[200]

    cells = (
        nice,
        *(f"{alone.hits.percentile_ms(percent):.1f}" for percent in (50, 99)),
        f"{alone.health.percentile_ms(99):.1f}",
        *(f"{beside.renders.percentile_ms(percent):.0f}" for percent in (50, 100)),
        *(f"{beside.hits.percentile_ms(percent):.1f}" for percent in (50, 99)),
        failed(alone) + failed(beside),
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nice", type=int, nargs="+", default=[0, 2, 5, 10, 15])
    parser.add_argument("--loops", type=int, default=4, help="busy loops beside the server")
    parser.add_argument("--pictures", type=int, default=400, help="rendered alone")
    parser.add_argument("--beside", type=int, default=40, help="rendered beside the busy loops")
    options = parser.parse_args()
    print(describe_machine(), "\n")
    print(
        f"Milliseconds. Alone: {options.pictures} renders by {CALLERS} callers. Beside "
        f"{options.loops} busy loops: {options.beside} renders by one caller.\n\n"
        "| nice | alone: hit p50 | hit p99 | health p99 | beside: render p50 | render max "
        "| hit p50 | hit p99 | not 200 |\n|" + " ---: |" * 9
    )
    pictures = make_pictures(max(options.pictures, options.beside) + 1, seed=1)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    origin_process = multiprocessing.get_context("fork").Process(
        target=serve_origin, args=(pictures, sender), daemon=True
    )
    origin_process.start()
    origin = receiver.recv()
    for nice in options.nice:
        os.environ["FRAMEKEEP_RENDER_NICE"] = str(nice)
        with tempfile.TemporaryDirectory() as folder, run_server(Path(folder)) as (pid, port):
            measure(pid, port, origin, range(1, 30), tag="warm", callers=CALLERS)
            alone = measure(
                pid, port, origin, range(1, options.pictures + 1), tag="alone", callers=CALLERS
            )
            with busy_loops(options.loops):
                beside = measure(
                    pid, port, origin, range(1, options.beside + 1), tag="beside", callers=1
                )
        print(row(nice, alone, beside), flush=True)
    origin_process.terminate()


if __name__ == "__main__":
    main()
