"""Measure quality and size of encoded files, compared with the pixels before encoding.

    python -m pip install -r bench/quality/requirements.txt
    python bench/quality/run.py FOLDER [--photos 8] [--side 640] [--markdown]

FOLDER has photographs as JPEG. Each is scaled down by Framekeep, encoded with every setting and
decoded again. SSIMULACRA2 (100 is equal, 90 not distinguishable, 70 good, 50 fair) and bytes per
pixel are means over the photographs; milliseconds are CPU time. `ours` marks Framekeep's defaults;
those of sharp and imgproxy are their documented ones, used with the same encoders.
"""

import argparse
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # read by libvips as it is imported

import numpy as np
import pyvips
from PIL import Image
from ssimulacra2 import compute_ssimulacra2

from proxy.imaging.encoders import DEFAULT_QUALITY
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

Encoder = Callable[[pyvips.Image], bytes]


def jpeg(quality: int, **options: object) -> Encoder:
    return lambda image: image.jpegsave_buffer(
        Q=quality, optimize_coding=True, interlace=True, keep=0, **options
    )


def webp(quality: int, effort: int = 4, **options: object) -> Encoder:
    return lambda image: image.webpsave_buffer(Q=quality, effort=effort, keep=0, **options)


def avif(quality: int, effort: int, **options: object) -> Encoder:
    return lambda image: image.heifsave_buffer(
        Q=quality, effort=effort, compression="av1", keep=0, **options
    )


def settings() -> dict[str, Encoder]:
    rows: dict[str, Encoder] = {}
    for quality in (70, 75, 80, 85, 90):
        rows[f"jpeg {quality}"] = jpeg(quality)
    rows["jpeg 80, trellis"] = jpeg(80, trellis_quant=True, overshoot_deringing=True)
    rows["jpeg 80, trellis, scans"] = jpeg(
        80, trellis_quant=True, overshoot_deringing=True, optimize_scans=True, quant_table=3
    )
    for quality in (70, 75, 79, 80, 85):
        rows[f"webp {quality}"] = webp(quality)
    rows["webp 80, effort 2"] = webp(80, 2)
    rows["webp 80, effort 6"] = webp(80, 6)
    rows["webp 80, smart"] = webp(80, smart_subsample=True)
    for quality in (45, 50, 55, 60, 63, 70):
        rows[f"avif {quality}, effort 3"] = avif(quality, 3)
    for effort in (0, 1, 2, 4):
        rows[f"avif 63, effort {effort}"] = avif(63, effort)
    rows["avif 50, effort 4"] = avif(50, 4)
    return rows


_EFFORTS = {"webp": ", effort 2", "avif": ", effort 1"}
"""Framekeep's efforts for opaque pictures of this size, as in the names of rows."""

OTHER_DEFAULTS = {
    "jpeg 80": "sharp, imgproxy",
    "webp 80": "sharp",
    "webp 79": "imgproxy",
    "avif 50, effort 4": "sharp",
    "avif 63, effort 1": "imgproxy",
}


def scale_down(path: Path, side: int) -> pyvips.Image:
    plan = OperationRegistry(OPERATIONS).plan(
        [
            {"type": "resize", "width": side, "height": side, "fit": "inside"},
            {"type": "convert", "format": "png"},
        ]
    )
    body = render(path.read_bytes(), plan, Limits(), detector=SubjectDetector()).rendition.body
    return pyvips.Image.pngload_buffer(body).colourspace("srgb").copy_memory()


def score(image: pyvips.Image, body: bytes, folder: Path) -> float:
    reference, distorted = folder / "reference.png", folder / "distorted.png"
    Image.fromarray(image.numpy()).save(reference)
    with Image.open(io.BytesIO(body)) as decoded:
        decoded.convert("RGB").save(distorted)
    return float(compute_ssimulacra2(str(reference), str(distorted)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=8, help="number of photographs")
    parser.add_argument("--side", type=int, default=640, help="longest side they are scaled to")
    parser.add_argument("--only", default="", help="only settings whose names start with this")
    parser.add_argument(
        "--work", type=Path, default=Path("bench/.work"), help="folder for temporary files"
    )
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    paths = sorted(options.folder.glob("*.jpg"))
    photos = [
        scale_down(path, options.side) for path in paths[:: max(1, len(paths) // options.photos)]
    ]
    ours = {
        f"{name} {quality}{_EFFORTS.get(name, '')}"
        for name, quality in DEFAULT_QUALITY.items()
        if name != "jpeg"  # it has quantization tables that libvips does not know
    }
    print("| setting | bytes/pixel | SSIMULACRA2 | minimum | ms/Mpixel | default of |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, encode in settings().items():
        if not name.startswith(options.only):
            continue
        sizes, scores, times = [], [], []
        for photo in photos:
            start = time.process_time()
            body = bytes(encode(photo))
            pixels = photo.width * photo.height
            times.append((time.process_time() - start) * 1e9 / pixels)
            sizes.append(len(body) / pixels)
            scores.append(score(photo, body, options.work))
        default_of = "ours, " * (name in ours) + OTHER_DEFAULTS.get(name, "")
        print(
            f"| {name} | {np.mean(sizes):.3f} | {np.mean(scores):.1f} | {min(scores):.1f} "
            f"| {np.mean(times):.0f} | {default_of.strip(', ')} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
