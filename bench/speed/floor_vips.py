"""A floor for renders: the same libvips calls in a loop, without server, network, limits or checks.

``python floor_vips.py ARGUMENT``, a JSON list ``[original, image spec, seconds]``, prints the CPU
seconds of one rendition. It is what somebody who knows libvips would write: thumbnail, sharpen,
save; with the encoder efforts that Framekeep uses, so that a cheaper encoder is not mistaken for a
cheaper server.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def render(data: bytes, spec: dict[str, Any]) -> bytes:
    import pyvips

    interesting = "attention" if spec["smart"] else "centre"
    options = {"height": spec["height"], "crop": interesting} if spec["height"] else {}
    image = pyvips.Image.thumbnail_buffer(
        data,
        spec["width"],
        size="both",
        option_string="[n=-1]" if spec["animated"] else "",
        **options,
    )
    if spec["sharpen"]:
        image = image.sharpen(sigma=spec["sharpen"])
    quality: dict[str, Any] = {"Q": spec["quality"], "keep": 0}
    match spec["format"]:
        case "jpeg":
            return bytes(image.jpegsave_buffer(optimize_coding=True, **quality))
        case "webp":
            effort = 4 if image.hasalpha() else 2
            return bytes(image.webpsave_buffer(effort=effort, **quality))
        case _:
            return bytes(image.heifsave_buffer(compression="av1", effort=3, bitdepth=10, **quality))


def main() -> None:
    name, spec, seconds = json.loads(sys.argv[1])
    data = Path(name).read_bytes()
    render(data, spec)
    count = 0
    start, cpu_start = time.monotonic(), time.process_time()
    while time.monotonic() - start < seconds or count < 2:
        render(data, spec)
        count += 1
    print((time.process_time() - cpu_start) / count)


if __name__ == "__main__":
    main()
