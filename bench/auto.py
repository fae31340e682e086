#!/usr/bin/env python3
"""Show what `convert:auto` makes of pictures of every kind, in bytes and CPU time.

    bench/auto.py [FOLDER]

Photographs are those of the folder, or the demo photograph; the graphics are drawn. For each
picture at its own size and at half of it, and for each kind of client, the table has the format
that was chosen, its bytes and its CPU time, and of the formats that the client accepts the one with
the fewest bytes when it is asked for, with its CPU time.
"""

import io
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "speed"))

import cpu_time

cpu_time.restart_in_render_environment()

from auto_pictures import drawn_pictures
from PIL import Image
from statistics_table import markdown_table

from proxy.formats import FormatName
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

_REGISTRY = OperationRegistry(OPERATIONS)
_DETECTOR = SubjectDetector()
_CLIENTS: dict[str, tuple[FormatName, ...]] = {
    "avif, webp": ("avif", "webp"),
    "webp": ("webp",),
    "*/*": (),
}
_PHOTOS, _SIDE = 4, 800


def main() -> None:
    demo = Path(__file__).parents[1] / "proxy" / "data" / "demo"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else demo
    photos = {path.name: _scaled(path) for path in sorted(folder.glob("*.jpg"))[:_PHOTOS]}
    pictures = {name: ("photograph", _jpeg(photo)) for name, photo in photos.items()}
    pictures |= drawn_pictures(next(iter(photos.values())))
    rows = []
    for name, (kind, original) in pictures.items():
        with Image.open(io.BytesIO(original)) as image:
            width = image.width
        for client, accepted in _CLIENTS.items():
            rows.extend(
                [kind, name, str(size), client, *_measure(original, size, accepted)]
                for size in (width, width // 2)
            )
        print("auto:", name, file=sys.stderr, flush=True)
    print(
        markdown_table(
            [
                "kind",
                "picture",
                "width",
                "client accepts",
                "auto",
                "bytes",
                "CPU ms",
                "fewest",
                "bytes",
                "CPU ms",
                "original's bytes",
            ],
            rows,
        )
    )


def _scaled(path: Path) -> Image.Image:
    with Image.open(path) as image:
        photo = image.convert("RGB")
    photo.thumbnail((_SIDE, _SIDE))
    return photo


def _jpeg(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG", quality=85)
    return output.getvalue()


def _measure(original: bytes, width: int, accepted: tuple[FormatName, ...]) -> list[str]:
    chosen, cpu_ms = _render(original, width, "auto", accepted)
    others = [_render(original, width, format, ()) for format in ("jpeg", "png", *accepted)]
    best, best_ms = min(others, key=lambda one: len(one[0].body))
    return [
        chosen.format,
        f"{len(chosen.body):,}",
        f"{cpu_ms:.0f}",
        best.format,
        f"{len(best.body):,}",
        f"{best_ms:.0f}",
        f"{len(original):,}",
    ]


def _render(
    original: bytes, width: int, format: str, accepted: tuple[FormatName, ...]
) -> tuple[Rendition, float]:
    """The rendition and its CPU time in milliseconds."""
    steps = [{"type": "resize", "width": width}, {"type": "convert", "format": format}]
    plan = _REGISTRY.plan(steps).with_accepted_formats(accepted)
    start = time.process_time()
    rendition = render(original, plan, Limits(), detector=_DETECTOR).rendition
    return rendition, 1000 * (time.process_time() - start)


if __name__ == "__main__":
    main()
