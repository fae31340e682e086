#!/usr/bin/env python3
"""Write stills through libvips and through Pillow, with the same options: milliseconds of CPU.

    bench/encoders.py

Prints a table. Both take turns, and what is told is the median of each.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "speed"))

import renderer

renderer.be_one()

import pyvips
from corpus import corpus
from statistics_table import short, table

from proxy.imaging import encoders

SIZES = ((200, 200), (800, 600), (1600, 1200))


def main() -> None:
    found = corpus(Path(__file__).parent / ".work" / "corpus")
    rows = []
    for name, form in (("photo0.jpg", "jpeg"), ("photo0.jpg", "webp"), ("alpha.png", "webp")):
        for width, height in SIZES:
            image = pyvips.Image.thumbnail(str(found[name]), width, height=height, crop="centre")
            rows.append([f"{name} as {form}", f"{width}x{height}", *figures(image, form)])
    print(table(["picture", "pixels", "libvips", "Pillow", "ratio", "bytes", "bytes"], rows))


def figures(image: pyvips.Image, form: str) -> tuple[str, ...]:
    image = image.copy_memory()
    effort = 4 if image.hasalpha() else 2

    def by_libvips() -> bytes:
        if form == "jpeg":
            return bytes(image.jpegsave_buffer(Q=80, optimize_coding=True, keep=0))
        return bytes(image.webpsave_buffer(Q=80, effort=effort, keep=0))

    def by_pillow() -> bytes:
        save = encoders._SAVERS[form]
        return bytes(save(image, image.height, 80, 0))

    one, other = renderer.taken(by_libvips, by_pillow)
    sizes = (f"{len(way()):,}" for way in (by_libvips, by_pillow))
    return short(one), short(other), short(other / one), *sizes


if __name__ == "__main__":
    main()
