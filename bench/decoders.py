#!/usr/bin/env python3
"""Compare the CPU time of two JPEG decoders: libvips, streamed, and TurboJPEG, in memory.

    bench/decoders.py

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

from proxy.imaging.decoders import DecodeOptions, turbo, vips
from proxy.imaging.headers import probe

NAMES = ("photo0.jpg", "photo1.jpg", "photo2.jpg", "progressive.jpg", "cmyk.jpg")


def main() -> None:
    rows = []
    for name, path in make_originals(Path(__file__).parent / ".work" / "corpus").items():
        if name not in NAMES:
            continue
        full = path.read_bytes()
        small = pyvips.Image.jpegload_buffer(full).resize(0.3).jpegsave_buffer(Q=88)
        for body, shrink in ((full, 8), (full, 4), (full, 2), (small, 1)):
            rows.append([name, *compare(body, shrink)])
    print(markdown_table(["original", "pixels", "streamed ms", "in memory ms", "ratio"], rows))


def compare(body: bytes, shrink: int) -> tuple[str, ...]:
    header = probe(body)

    def streamed() -> pyvips.Image:
        return vips.load_jpeg(body, header, DecodeOptions(shrink=shrink)).copy_memory()

    def in_memory() -> pyvips.Image:
        lazy = vips.load_jpeg(body, header, DecodeOptions())
        image = turbo.decode_in_memory(body, lazy, shrink)
        if image is None:
            raise SystemExit("the in-memory decoder does not support this original")
        return image

    streamed_ms, in_memory_ms = cpu_time.median_cpu_ms(streamed, in_memory)
    image = in_memory()
    return (
        f"{image.width}x{image.height}",
        format_number(streamed_ms),
        format_number(in_memory_ms),
        format_number(in_memory_ms / streamed_ms),
    )


if __name__ == "__main__":
    main()
