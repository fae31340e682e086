"""Draw the gallery of the docs: a picture, its centre crop, libvips' attention crop, and ours.

    python bench/smartcrop/gallery.py SET docs/smart-crop

Only pictures whose licence lets them be passed on, each with its attribution.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import contenders
from contenders import Contender
from metric import Picture, load
from PIL import Image, ImageDraw

HEIGHT, GAP = 180, 6

SHOWN = {
    "clic_2a2420f929cd": "1.91:1",
    "clic_c9510efb03d1": "9:16",
    "clic_11f2b039b293": "1.91:1",
    "clic_0c49a5cce349": "4:3",
    "clic_ff32adfa29d4": "9:16",
    "clic_f67f11de4ca9": "16:9",
    "coco_000000343937": "1.91:1",
    "coco_000000525891": "1:1",
    "coco_000000519208": "1:1",
    "coco_000000062554": "4:3",
    "kodak_14": "4:3",
    "kodak_9": "9:16",
}


def main() -> None:
    """Draw every strip, and write the page that shows them."""
    parser = argparse.ArgumentParser(description="Draw the gallery of the docs.")
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)

    with (chosen.set / "ATTRIBUTION.csv").open(newline="") as file:
        sources = {row["file"]: row for row in csv.DictReader(file)}
    entrants = (contenders.centre, contenders.libvips("attention"), contenders.library())
    page = [
        "# Gallery\n",
        "Each row: the picture, its centre crop, libvips' attention crop, and Framekeep's with",
        "nothing to install. Written by `python bench/smartcrop/gallery.py SET docs/smart-crop`.\n",
    ]
    for picture in load(chosen.set):
        if picture.id not in SHOWN:
            continue
        ratio = SHOWN[picture.id]
        strip(picture, ratio, entrants).save(chosen.out / f"{picture.id}.jpg", quality=80)
        source = sources[picture.path.name]
        licence = source["licence"]
        if source["licence_url"]:
            licence = f"[{licence}]({source['licence_url']})"
        origin = f"{source['source']}, {licence}, <{source['source_url']}>"
        page += [
            f"![{picture.id} at {ratio}]({picture.id}.jpg)\n",
            f"{ratio}. {origin}; cropped and scaled down.\n",
        ]
    (chosen.out / "gallery.md").write_text("\n".join(page).rstrip() + "\n")


def strip(picture: Picture, ratio: str, entrants: tuple[Contender, ...]) -> Image.Image:
    """The picture and what each entrant makes of it, side by side."""
    frame, _ = picture.ratios[ratio]
    whole = Image.open(picture.path).convert("RGB")
    tiles = [whole]
    for place in entrants:
        left, top = place(picture).corners[ratio]
        tiles.append(whole.crop((left, top, left + frame.width, top + frame.height)))
    ours = (round(left), round(top), round(left) + frame.width, round(top) + frame.height)
    marked = whole.copy()
    line = max(2, whole.height // 90)
    ImageDraw.Draw(marked).rectangle(
        [*ours[:2], ours[2] - 1, ours[3] - 1], outline="white", width=line
    )
    tiles[0] = marked
    drawn = [tile.resize((round(tile.width * HEIGHT / tile.height), HEIGHT)) for tile in tiles]
    wide = sum(tile.width for tile in drawn) + GAP * (len(drawn) - 1)
    row = Image.new("RGB", (wide, HEIGHT), "white")
    at = 0
    for tile in drawn:
        row.paste(tile, (at, 0))
        at += tile.width + GAP
    return row


if __name__ == "__main__":
    main()
