"""Score the smart crops of Framekeep and other programs, and print a table.

    python bench/smartcrop/run.py SET [--models DIR] [--server URL --source NAME]
                                      [--smartcrop-js DIR] [--thumbor URL] [--cases FILE]

SET is a folder with annotated photographs (``annotations.json``, format ``smartcrop-eval/1``). For
--server, NAME is the alias of the folder of pictures, and unsigned links are allowed:

    FRAMEKEEP_SOURCES_ALIASES='{"set": "file:///…/images"}' framekeep serve --dev
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VIPS_CONCURRENCY"):
    os.environ.setdefault(_threads, "1")  # one core, as in a render process

import contenders
import numpy as np
from contenders import Contender
from metric import Case, Picture, load_set, score_crop, summarize


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Score the smart crops of Framekeep and other programs."
    )
    parser.add_argument("set", type=Path)
    parser.add_argument(
        "--models", help="directory with detector models, to score Framekeep with them too"
    )
    parser.add_argument("--server", help="URL of a running Framekeep")
    parser.add_argument("--source", default="set", help="its alias of the folder of pictures")
    parser.add_argument(
        "--smartcrop-js", type=Path, help="folder in which smartcrop and sharp are installed"
    )
    parser.add_argument("--thumbor", help="URL of a running thumbor")
    parser.add_argument("--cases", type=Path, help="write all scored cases to this CSV file")
    options = parser.parse_args()

    by_name: dict[str, Contender] = {
        "center": contenders.center,
        "libvips attention": contenders.libvips("attention"),
        "libvips entropy": contenders.libvips("entropy"),
    }
    if options.smartcrop_js:
        by_name["smartcrop.js"] = contenders.smartcrop_js(options.smartcrop_js)
    if options.thumbor:
        by_name["thumbor"] = contenders.thumbor(options.thumbor)
    by_name["Framekeep"] = contenders.framekeep()
    if options.models:
        by_name["Framekeep, with models"] = contenders.framekeep(options.models)
    if options.server:
        by_name[f"Framekeep at {options.server}"] = contenders.framekeep_server(
            options.server, options.source
        )

    pictures = list(load_set(options.set))
    print(f"{len(pictures)} pictures, {len(pictures) * 6} cases\n")
    print("| | score | where center is clearly worse | faces cut | faces lost | CPU ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows: list[tuple[str, Case]] = []
    for name, contender in by_name.items():
        cases, times = run(contender, pictures)
        rows += [(name, case) for case in cases]
        summary = summarize(cases)
        cpu_ms = f"{np.median(times) * 1000:.0f}" if times else ""
        print(
            f"| {name} | {summary.score:.3f} | {summary.hard:.3f} "
            f"| {summary.faces_cut:.1%} | {summary.faces_lost:.1%} | {cpu_ms} |",
            flush=True,
        )
    if options.cases:
        write(options.cases, rows)


def run(contender: Contender, pictures: Sequence[Picture]) -> tuple[list[Case], list[float]]:
    """All cases of all pictures, and the CPU seconds of each picture."""
    cases, times = [], []
    for number, picture in enumerate(pictures, 1):
        print(f"\r{number}", end="", file=sys.stderr)
        placed = contender(picture)
        cases += [score_crop(picture, name, *corner) for name, corner in placed.corners.items()]
        if placed.seconds is not None:
            times.append(placed.seconds)
    print("\r", end="", file=sys.stderr)
    return cases, times


def write(path: Path, rows: Sequence[tuple[str, Case]]) -> None:
    """Write the scored cases as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("contender", "picture", "ratio", "score", "faces cut", "faces lost"))
        for name, case in rows:
            if case.is_scored:
                writer.writerow(
                    (
                        name,
                        case.picture.id,
                        case.ratio,
                        f"{case.score:.4f}",
                        case.faces_cut,
                        case.faces_lost,
                    )
                )


if __name__ == "__main__":
    main()
