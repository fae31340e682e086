#!/usr/bin/env python3
"""Decode JPEGs as libvips streams them, and at once: milliseconds of CPU for the same pixels.

    bench/decoders.py

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

from proxy.imaging.decoders import Wanted, turbo, vips
from proxy.imaging.headers import probe

NAMES = ("photo0.jpg", "photo1.jpg", "photo2.jpg", "progressive.jpg", "cmyk.jpg")


def main() -> None:
    rows = []
    for name, path in corpus(Path(__file__).parent / ".work" / "corpus").items():
        if name not in NAMES:
            continue
        whole = path.read_bytes()
        small = pyvips.Image.jpegload_buffer(whole).resize(0.3).jpegsave_buffer(Q=88)
        for body, shrink in ((whole, 8), (whole, 4), (whole, 2), (small, 1)):
            rows.append([name, *figures(body, shrink)])
    print(table(["original", "pixels", "streamed", "at once", "ratio"], rows))


def figures(body: bytes, shrink: int) -> tuple[str, ...]:
    header = probe(body)

    def streamed() -> pyvips.Image:
        return vips.jpeg(body, header, Wanted(shrink=shrink)).copy_memory()

    def at_once() -> pyvips.Image:
        opened = vips.jpeg(body, header, Wanted())
        image = turbo.held(body, opened, shrink)
        if image is None:
            raise SystemExit("an original was not taken")
        return image

    one, other = renderer.taken(streamed, at_once)
    image = at_once()
    return f"{image.width}x{image.height}", short(one), short(other), short(other / one)


if __name__ == "__main__":
    main()
