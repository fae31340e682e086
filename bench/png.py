#!/usr/bin/env python3
"""Compare how PNGs are encoded with each filter, and with the filter that Framekeep chooses.

    bench/png.py FOLDER                   photographs of FOLDER (JPEG), and what is drawn
    bench/png.py FOLDER --half 1          the half that no constant was chosen by

Bytes and CPU time are relative to no filter at zlib's level 6, which is the default of sharp,
imgproxy and imagor, as geometric means over the pictures of a kind. "best" takes the filter with
fewer bytes for each picture. Pictures of at most 256 colors are another row, because they become
palettes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "speed"), str(HERE / "quality")]

import cpu_time

cpu_time.restart_in_render_environment()

import numpy as np
import pyvips
from equal_score import geometric_mean
from graphics import draw_graphics
from interfaces import draw_interfaces
from PIL import Image
from scans import draw_scans
from statistics_table import markdown_table

from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.png_encoder import encode_png

_SIDES = (160, 320, 480, 800)
_REPEATS = 5
_USUAL = EncoderOptions()

Encode = Callable[[pyvips.Image], bytes]


def _with_filter(filter: str, level: int) -> Encode:
    def encode(image: pyvips.Image) -> bytes:
        body: bytes = image.pngsave_buffer(filter=filter, compression=level, keep=0)
        return body

    return encode


def _ours(image: pyvips.Image) -> bytes:
    return encode_png(image, image.height, 100, _USUAL)


_ENCODERS: Mapping[str, Encode] = {
    "none, level 6": _with_filter("none", 6),
    "Paeth, level 4": _with_filter("paeth", 4),
    "Paeth, level 6": _with_filter("paeth", 6),
    "all, level 6": _with_filter("all", 6),
    "Framekeep": _ours,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=24, help="at most so many photographs")
    parser.add_argument("--half", type=int, choices=(0, 1), help="every second picture of a kind")
    options = parser.parse_args()
    rows = []
    for kind, images in _pictures(options.folder, options.photos).items():
        chosen = images if options.half is None else images[options.half :: 2]
        measured = [{name: _measure(image, name) for name in _ENCODERS} for image in chosen]
        if not measured:
            continue
        base = [one["none, level 6"] for one in measured]
        cells = [
            f"{geometric_mean([one[name][0] / first[0] for one, first in pairs]):.3f} / "
            f"{geometric_mean([one[name][1] / first[1] for one, first in pairs]):.2f}"
            for name in list(_ENCODERS)[1:]
            for pairs in [list(zip(measured, base, strict=True))]
        ]
        filters = ("none, level 6", "Paeth, level 4")
        best = [min(one[name][0] for name in filters) for one in measured]
        least = geometric_mean([b / first[0] for b, first in zip(best, base, strict=True)])
        rows.append([kind, str(len(chosen)), *cells, f"{least:.3f}"])
    head = ["kind", "pictures", *(f"{name}: bytes / CPU" for name in list(_ENCODERS)[1:])]
    print(markdown_table([*head, "best: bytes"], rows))


def _pictures(folder: Path, photos: int) -> dict[str, list[pyvips.Image]]:
    kinds: dict[str, list[pyvips.Image]] = {}
    paths = sorted(folder.glob("*.jpg"))
    for index, path in enumerate(paths[:: max(1, len(paths) // photos)][:photos]):
        photo = pyvips.Image.thumbnail(str(path), _SIDES[index % 4]).colourspace("srgb")[:3]
        kinds.setdefault("photographs", []).append(photo.copy(interpretation="srgb").copy_memory())
    drawn = [
        *draw_graphics().items(),
        *((name, image) for seed in range(6) for name, image in draw_interfaces(seed).items()),
    ]
    for scan in draw_scans().values():
        half = scan.resize((scan.width // 2, scan.height // 2), Image.Resampling.LANCZOS)
        drawn += [("scans", scan), ("scans, half", half)]
    for name, image in drawn:
        is_palette = image.getcolors(256) is not None
        pixels = np.ascontiguousarray(np.asarray(image))
        kinds.setdefault("256 colors or fewer" if is_palette else name, []).append(
            pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").copy_memory()
        )
    return kinds


def _measure(image: pyvips.Image, name: str) -> tuple[int, float]:
    """Bytes and CPU seconds; the median of some encodes."""
    seconds = []
    for _ in range(_REPEATS):
        start = time.process_time()
        body = _ENCODERS[name](image)
        seconds.append(time.process_time() - start)
    return len(body), float(np.median(seconds))


if __name__ == "__main__":
    main()
