"""Score the smart crops and areas of interest of Framekeep and other programs.

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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VIPS_CONCURRENCY"):
    os.environ.setdefault(_threads, "1")  # one core, as in a render process

import contenders
import numpy as np
from areas import AreaScore, loses_area, score_area, summarize_areas
from contenders import Contender, Edges, PlacedCrops
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
    print(
        "| | score | by halves | where center is clearly worse | faces cut | faces lost "
        "| CPU ms of detection | of a window |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    rows: list[tuple[str, Case]] = []
    with_areas: dict[str, list[PlacedCrops]] = {}
    for name, contender in by_name.items():
        placed = run(contender, pictures)
        cases = [
            [score_crop(picture, ratio, *corner) for ratio, corner in one.corners.items()]
            for picture, one in zip(pictures, placed, strict=True)
        ]
        rows += [(name, case) for of_picture in cases for case in of_picture]
        summary = summarize([case for of_picture in cases for case in of_picture])
        halves = (
            summarize([case for of_picture in cases[start::2] for case in of_picture]).score
            for start in (0, 1)
        )
        print(
            f"| {name} | {summary.score:.3f} | {', '.join(f'{half:.3f}' for half in halves)} "
            f"| {summary.hard:.3f} | {summary.faces_cut:.1%} | {summary.faces_lost:.1%} "
            f"| {median_ms([one.seconds for one in placed], 0)} "
            f"| {median_ms([one.placement_seconds for one in placed], 2)} |",
            flush=True,
        )
        if all(one.area and one.free for one in placed):
            with_areas[name] = placed
    print_areas(with_areas, pictures)
    if options.cases:
        write(options.cases, rows)


def print_areas(by_name: Mapping[str, Sequence[PlacedCrops]], pictures: Sequence[Picture]) -> None:
    """A table of the areas of interest and of the crops that no ratio was asked for."""
    print(
        "\n| | half of the main subject lost | by halves | faces cut | specks | pressed "
        "| overlap | share of the picture | windows that lose it |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, placed in by_name.items():
        windows = list(windows_and_areas(placed, pictures))
        lost = f"{sum(loses_area(area, window) for area, window in windows)} of {len(windows)}"
        for what, boxes, lost_text in (
            ("area", [one.area for one in placed], lost),
            ("free crop", [one.free for one in placed], ""),
        ):
            scores: list[AreaScore] = [
                score_area(picture, box)
                for picture, box in zip(pictures, boxes, strict=True)
                if box is not None
            ]
            total = summarize_areas(scores)
            halves = ", ".join(str(summarize_areas(scores[at::2]).half_lost) for at in (0, 1))
            print(
                f"| {name}, {what} | {total.half_lost} | {halves} | {total.faces_cut} "
                f"| {total.specks} | {total.pressed} | {total.overlap:.2f} | {total.share:.2f} "
                f"| {lost_text} |"
            )


def windows_and_areas(
    placed: Sequence[PlacedCrops], pictures: Sequence[Picture]
) -> Iterator[tuple[Edges, Edges]]:
    """The area of interest and each window of each picture."""
    for picture, one in zip(pictures, placed, strict=True):
        if one.area is None:
            continue
        for ratio, (left, top) in one.corners.items():
            window, _ = picture.windows[ratio]
            yield one.area, (left, top, left + window.width, top + window.height)


def run(contender: Contender, pictures: Sequence[Picture]) -> list[PlacedCrops]:
    """The crops of all pictures."""
    placed = []
    for number, picture in enumerate(pictures, 1):
        print(f"\r{number}", end="", file=sys.stderr)
        placed.append(contender(picture))
    print("\r", end="", file=sys.stderr)
    return placed


def median_ms(seconds: Sequence[float | None], digits: int) -> str:
    """The median in milliseconds, empty where nothing was measured."""
    known = [one for one in seconds if one is not None]
    return f"{np.median(known) * 1000:.{digits}f}" if known else ""


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
