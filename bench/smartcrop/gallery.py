"""Draw the gallery of the docs: a picture and its crops by center, libvips and Framekeep.

    python bench/smartcrop/gallery.py SET docs/smart-crop

Only pictures whose license allows redistribution, each with its attribution.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import contenders
from contenders import Contender
from metric import Picture, load_set
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
    parser = argparse.ArgumentParser(description="Draw the gallery of the docs.")
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    with (options.set / "ATTRIBUTION.csv").open(newline="") as file:
        sources = {row["file"]: row for row in csv.DictReader(file)}
    placers = (contenders.center, contenders.libvips("attention"), contenders.framekeep())
    page = [
        "# Gallery\n",
        "Each row: the picture, its center crop, libvips' attention crop, and Framekeep's without",
        "optional models. Written by `python bench/smartcrop/gallery.py SET docs/smart-crop`.\n",
    ]
    for picture in load_set(options.set):
        if picture.id not in SHOWN:
            continue
        ratio = SHOWN[picture.id]
        strip(picture, ratio, placers).save(options.out / f"{picture.id}.jpg", quality=80)
        source = sources[picture.path.name]
        license = source["licence"]
        if source["licence_url"]:
            license = f"[{license}]({source['licence_url']})"
        origin = f"{source['source']}, {license}, <{source['source_url']}>"
        page += [
            f"![{picture.id} at {ratio}]({picture.id}.jpg)\n",
            f"{ratio}. {origin}; cropped and scaled down.\n",
        ]
    (options.out / "gallery.md").write_text("\n".join(page).rstrip() + "\n")


def strip(picture: Picture, ratio: str, placers: tuple[Contender, ...]) -> Image.Image:
    """The picture and the crop of each contender, side by side."""
    window, _ = picture.windows[ratio]
    full = Image.open(picture.path).convert("RGB")
    tiles = [full]
    for place in placers:
        left, top = place(picture).corners[ratio]
        tiles.append(full.crop((left, top, left + window.width, top + window.height)))
    crop = (round(left), round(top), round(left) + window.width, round(top) + window.height)
    marked = full.copy()
    line = max(2, full.height // 90)
    ImageDraw.Draw(marked).rectangle(
        [*crop[:2], crop[2] - 1, crop[3] - 1], outline="white", width=line
    )
    tiles[0] = marked
    drawn = [tile.resize((round(tile.width * HEIGHT / tile.height), HEIGHT)) for tile in tiles]
    width = sum(tile.width for tile in drawn) + GAP * (len(drawn) - 1)
    row = Image.new("RGB", (width, HEIGHT), "white")
    x = 0
    for tile in drawn:
        row.paste(tile, (x, 0))
        x += tile.width + GAP
    return row


if __name__ == "__main__":
    main()
