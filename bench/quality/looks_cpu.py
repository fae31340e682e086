"""CPU time of quality by look, compared with one quality that makes the same file."""

import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from renders import picture_of, render_steps, resized
from statistics_table import markdown_table

from proxy.formats import FormatName
from proxy.imaging.encoders import encode_as
from proxy.imaging.picture import Picture
from proxy.imaging.quality_search import find_quality
from proxy.imaging.score_targets import TARGETS

_ROUNDS = 2
_PICTURES = 2


def cpu_table(paths: Sequence[Path], formats: Sequence[FormatName]) -> str:
    large = [path for path in paths if _pixels_of(path) >= 1_000_000] or list(paths)
    chosen = large[:: max(1, len(large) // _PICTURES)][:_PICTURES]
    classes = {
        "400 px": ([path.read_bytes() for path in chosen], 160_000),
        "1 megapixel": ([path.read_bytes() for path in chosen], 1_000_000),
        "4 megapixels": ([_four_of(large, first) for first in range(_PICTURES)], 4_000_000),
    }
    rows = []
    for format in formats:
        for name, (originals, pixels) in classes.items():
            times = np.sum([_cpu_ms(original, pixels, format) for original in originals], axis=0)
            plain_encode, look_encode, plain, look = times / len(originals)
            rows.append(
                [
                    format,
                    name,
                    f"{plain_encode:.0f}",
                    f"{look_encode:.0f}",
                    f"{look_encode / plain_encode:.2f}",
                    f"{plain:.0f}",
                    f"{look:.0f}",
                    f"{look / plain:.2f}",
                ]
            )
            print("CPU:", format, name, file=sys.stderr, flush=True)
    head = ["format", "size", "encode, ms", "by look, ms", "ratio"]
    return markdown_table([*head, "render, ms", "by look, ms", "ratio"], rows)


def _pixels_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def _four_of(paths: Sequence[Path], first: int) -> bytes:
    """A JPEG of 2400 x 1800: four photographs, since a large one is seldom at hand."""
    whole = Image.new("RGB", (2400, 1800))
    for index in range(4):
        with Image.open(paths[(4 * first + index) % len(paths)]) as image:
            part = ImageOps.fit(image.convert("RGB"), (1200, 900))
        whole.paste(part, (index % 2 * 1200, index // 2 * 900))
    output = io.BytesIO()
    whole.save(output, "JPEG", quality=90)
    return output.getvalue()


def _cpu_ms(original: bytes, pixels: int, format: FormatName) -> list[float]:
    """Milliseconds of encoding without and with the search, and of a whole render likewise.

    The least of some rounds, in which all take turns.
    """
    with Image.open(io.BytesIO(original)) as image:
        longest, ratio = max(image.size), min(image.size) / max(image.size)
    side = 400 if pixels == 160_000 else min(longest, round((pixels / ratio) ** 0.5))
    picture = picture_of(resized(original, side), format)
    score = TARGETS["good"]
    quality = find_quality(picture, format, score)[1]
    resize = {"type": "resize", "width": side, "height": side, "fit": "inside"}
    convert = {"type": "convert", "format": format}
    functions: list[Callable[[], object]] = [
        lambda: encode_as(picture, format, quality),
        lambda: encode_as(*_searched(picture, format, score)),
        lambda: render_steps(original, [resize, {**convert, "quality": quality}]),
        lambda: render_steps(original, [resize, {**convert, "quality": "good"}]),
    ]
    least = [float("inf")] * len(functions)
    for _ in range(_ROUNDS):
        for index, function in enumerate(functions):
            start = time.process_time()
            function()
            least[index] = min(least[index], 1000 * (time.process_time() - start))
    return least


def _searched(
    picture: Picture, format: FormatName, score: float
) -> tuple[Picture, FormatName, int]:
    picture, quality = find_quality(picture, format, score)
    return picture, format, quality
