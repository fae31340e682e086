"""Draw contact sheets of the smart crops of a set, to inspect them; what is cut off is dark.

    python bench/smartcrop/contact_sheets.py SET OUT [--models DIR] [--ratio 1:1 …] [--only ID …]

Subjects are outlined in blue, faces in green, the crop in white; below are the score and the id of
the picture. The sheets are PNG files in OUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import contenders
from metric import Picture, load_set, score_crop
from PIL import Image, ImageDraw, ImageEnhance

CELL, LINE = 200, 14
COLUMNS, ROWS = 9, 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw contact sheets of smart crops.")
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", default="", help="directory with detector models")
    parser.add_argument("--ratio", nargs="*", default=["1:1", "16:9", "9:16"])
    parser.add_argument("--only", nargs="*", help="ids of the pictures to draw")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    place = contenders.framekeep(options.models)
    pictures = [one for one in load_set(options.set) if not options.only or one.id in options.only]
    cells: dict[str, list[Image.Image]] = {ratio: [] for ratio in options.ratio}
    for picture in pictures:
        corners = place(picture).corners
        for ratio in options.ratio:
            cells[ratio].append(cell(picture, ratio, corners[ratio]))
    for ratio, drawn in cells.items():
        for page, start in enumerate(range(0, len(drawn), COLUMNS * ROWS), 1):
            path = options.out / f"{ratio.replace(':', 'x')}-{page}.png"
            sheet(drawn[start : start + COLUMNS * ROWS]).save(path)
            print(path)


def cell(picture: Picture, ratio: str, corner: tuple[float, float]) -> Image.Image:
    """One picture with its crop."""
    window, _ = picture.windows[ratio]
    case = score_crop(picture, ratio, *corner)
    box = window.box(case.position)
    full = Image.open(picture.path).convert("RGB")
    shown = ImageEnhance.Brightness(full).enhance(0.3)
    shown.paste(full.crop(box), box[:2])
    scale = CELL / max(full.size)
    shown = shown.resize((round(full.width * scale), round(full.height * scale)))
    draw = ImageDraw.Draw(shown)
    for subject in picture.subjects:
        draw.rectangle([side * scale for side in subject.box], outline=(80, 140, 255))
    for face in picture.faces:
        draw.rectangle([side * scale for side in face], outline=(60, 230, 90))
    draw.rectangle([side * scale - (index > 1) for index, side in enumerate(box)], outline="white")
    framed = Image.new("RGB", (CELL, CELL + LINE), (40, 40, 40))
    framed.paste(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
    label = f"{case.score:.2f}" if case.is_scored else "any"
    ImageDraw.Draw(framed).text((2, CELL + 1), f"{label} {picture.id}", fill="white")
    return framed


def sheet(cells: list[Image.Image]) -> Image.Image:
    """Cells side by side, row by row."""
    page = Image.new("RGB", (COLUMNS * CELL, -(-len(cells) // COLUMNS) * (CELL + LINE)))
    for number, one in enumerate(cells):
        page.paste(one, (number % COLUMNS * CELL, number // COLUMNS * (CELL + LINE)))
    return page


if __name__ == "__main__":
    main()
