"""Contact sheets of all pictures of a set, to be looked at: what a window leaves out is dark.

    python bench/smartcrop/contact_sheets.py SET OUT [--models DIR] [--ratio 1:1 …] [--only ID …]

Subjects are outlined in blue, faces in green, the window in white; below stand the score and the
picture's name. Pages are PNGs in OUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import contenders
from metric import Picture, judge, load
from PIL import Image, ImageDraw, ImageEnhance

CELL, LINE = 200, 14
ACROSS, DOWN = 9, 5


def main() -> None:
    """Read the arguments, place, draw."""
    parser = argparse.ArgumentParser(description="Contact sheets of subject-aware crops.")
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", default="", help="folder of detector models")
    parser.add_argument("--ratio", nargs="*", default=["1:1", "16:9", "9:16"])
    parser.add_argument("--only", nargs="*", help="pictures to draw")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)

    place = contenders.library(chosen.models)
    wanted = [one for one in load(chosen.set) if not chosen.only or one.id in chosen.only]
    cells: dict[str, list[Image.Image]] = {ratio: [] for ratio in chosen.ratio}
    for picture in wanted:
        corners = place(picture).corners
        for ratio in chosen.ratio:
            cells[ratio].append(cell(picture, ratio, corners[ratio]))
    for ratio, drawn in cells.items():
        for page, start in enumerate(range(0, len(drawn), ACROSS * DOWN), 1):
            path = chosen.out / f"{ratio.replace(':', 'x')}-{page}.png"
            sheet(drawn[start : start + ACROSS * DOWN]).save(path)
            print(path)


def cell(picture: Picture, ratio: str, corner: tuple[float, float]) -> Image.Image:
    """One picture with its window."""
    frame, _ = picture.ratios[ratio]
    case = judge(picture, ratio, *corner)
    box = frame.box(case.position)
    whole = Image.open(picture.path).convert("RGB")
    shown = ImageEnhance.Brightness(whole).enhance(0.3)
    shown.paste(whole.crop(box), box[:2])
    scale = CELL / max(whole.size)
    shown = shown.resize((round(whole.width * scale), round(whole.height * scale)))
    draw = ImageDraw.Draw(shown)
    for subject in picture.subjects:
        draw.rectangle([side * scale for side in subject.box], outline=(80, 140, 255))
    for face in picture.faces:
        draw.rectangle([side * scale for side in face], outline=(60, 230, 90))
    draw.rectangle([side * scale - (at > 1) for at, side in enumerate(box)], outline="white")
    framed = Image.new("RGB", (CELL, CELL + LINE), (40, 40, 40))
    framed.paste(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
    mark = f"{case.score:.2f}" if case.matters else "any"
    ImageDraw.Draw(framed).text((2, CELL + 1), f"{mark} {picture.id}", fill="white")
    return framed


def sheet(cells: list[Image.Image]) -> Image.Image:
    """Cells side by side, row by row."""
    page = Image.new("RGB", (ACROSS * CELL, -(-len(cells) // ACROSS) * (CELL + LINE)))
    for at, one in enumerate(cells):
        page.paste(one, (at % ACROSS * CELL, at // ACROSS * (CELL + LINE)))
    return page


if __name__ == "__main__":
    main()
