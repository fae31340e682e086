#!/usr/bin/env python3
"""Compare the CPU time of libvips and Pillow as encoders of still images, with equal options.

    bench/encoders.py

Prints a Markdown table of milliseconds, medians of several rounds in which both take turns.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "speed"))

import cpu_time

cpu_time.restart_in_render_environment()

import pyvips
from corpus import make_originals
from statistics_table import format_number, markdown_table

from proxy.imaging import encoders
from proxy.imaging.encoder_options import EncoderOptions

SIZES = ((200, 200), (800, 600), (1600, 1200))


def main() -> None:
    originals = make_originals(Path(__file__).parent / ".work" / "corpus")
    rows = []
    for name, format in (("photo0.jpg", "jpeg"), ("photo0.jpg", "webp"), ("alpha.png", "webp")):
        for width, height in SIZES:
            image = pyvips.Image.thumbnail(
                str(originals[name]), width, height=height, crop="centre"
            )
            rows.append([f"{name} as {format}", f"{width}x{height}", *compare(image, format)])
    print(
        markdown_table(
            [
                "picture",
                "pixels",
                "libvips ms",
                "Pillow ms",
                "ratio",
                "libvips bytes",
                "Pillow bytes",
            ],
            rows,
        )
    )


def compare(image: pyvips.Image, format: str) -> tuple[str, ...]:
    image = image.copy_memory()
    effort = 4 if image.hasalpha() else 2

    def by_libvips() -> bytes:
        if format == "jpeg":
            return bytes(image.jpegsave_buffer(Q=80, optimize_coding=True, keep=0))
        return bytes(image.webpsave_buffer(Q=80, effort=effort, keep=0))

    def by_pillow() -> bytes:
        save = encoders.ENCODERS[format]
        return bytes(save(image, image.height, 80, EncoderOptions()))

    libvips_ms, pillow_ms = cpu_time.median_cpu_ms(by_libvips, by_pillow)
    sizes = (f"{len(encode()):,}" for encode in (by_libvips, by_pillow))
    return (
        format_number(libvips_ms),
        format_number(pillow_ms),
        format_number(pillow_ms / libvips_ms),
        *sizes,
    )


if __name__ == "__main__":
    main()
