"""Score subject-aware crops against each other, and print the table.

    python bench/smartcrop/run.py SET [--models DIR] [--server URL --source NAME]
                                      [--smartcrop-js DIR] [--thumbor URL] [--cases FILE]

SET is a folder with annotated photographs (``annotations.json``, format ``smartcrop-eval/1``). Use
the pictures' folder as a source named NAME of the server, and unsigned links:

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
from metric import Case, Picture, judge, load, total


def main() -> None:
    """Read the arguments, run the contenders, print."""
    parser = argparse.ArgumentParser(description="Score subject-aware crops.")
    parser.add_argument("set", type=Path)
    parser.add_argument("--models", help="folder of detector models: the library with them, too")
    parser.add_argument("--server", help="address of a running Framekeep")
    parser.add_argument("--source", default="set", help="its name for the pictures' folder")
    parser.add_argument("--smartcrop-js", type=Path, help="where smartcrop and sharp are installed")
    parser.add_argument("--thumbor", help="address of a running thumbor")
    parser.add_argument("--cases", type=Path, help="write every case to this CSV file")
    chosen = parser.parse_args()

    entrants: dict[str, Contender] = {
        "centre": contenders.centre,
        "libvips attention": contenders.libvips("attention"),
        "libvips entropy": contenders.libvips("entropy"),
    }
    if chosen.smartcrop_js:
        entrants["smartcrop.js"] = contenders.smartcrop_js(chosen.smartcrop_js)
    if chosen.thumbor:
        entrants["thumbor"] = contenders.thumbor(chosen.thumbor)
    entrants["Framekeep, nothing to install"] = contenders.library()
    if chosen.models:
        entrants["Framekeep, with models"] = contenders.library(chosen.models)
    if chosen.server:
        entrants[f"Framekeep at {chosen.server}"] = contenders.server(chosen.server, chosen.source)

    pictures = list(load(chosen.set))
    print(f"{len(pictures)} pictures, {len(pictures) * 6} cases\n")
    print("| | score | where centre is clearly worse | faces cut | faces lost | ms a look |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows: list[tuple[str, Case]] = []
    for name, contender in entrants.items():
        cases, times = run(contender, pictures)
        rows += [(name, case) for case in cases]
        sum_ = total(cases)
        spent = f"{np.median(times) * 1000:.0f}" if times else ""
        print(
            f"| {name} | {sum_.score:.3f} | {sum_.hard:.3f} "
            f"| {sum_.faces_cut:.1%} | {sum_.faces_gone:.1%} | {spent} |",
            flush=True,
        )
    if chosen.cases:
        write(chosen.cases, rows)


def run(contender: Contender, pictures: Sequence[Picture]) -> tuple[list[Case], list[float]]:
    """Every case of every picture, and what each look took, in seconds."""
    cases, times = [], []
    for at, picture in enumerate(pictures, 1):
        print(f"\r{at}", end="", file=sys.stderr)
        placed = contender(picture)
        cases += [judge(picture, name, *corner) for name, corner in placed.corners.items()]
        if placed.seconds is not None:
            times.append(placed.seconds)
    print("\r", end="", file=sys.stderr)
    return cases, times


def write(path: Path, rows: Sequence[tuple[str, Case]]) -> None:
    """Every case that matters, for a closer look."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("contender", "picture", "ratio", "score", "faces cut", "faces lost"))
        for name, case in rows:
            if case.matters:
                writer.writerow(
                    (
                        name,
                        case.picture.id,
                        case.ratio,
                        f"{case.score:.4f}",
                        case.faces_cut,
                        case.faces_gone,
                    )
                )


if __name__ == "__main__":
    main()
