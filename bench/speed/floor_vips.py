"""A floor: the same libvips work in a bare loop, without server, network, limits or checks.

``python floor_vips.py SPEC`` with a JSON list ``[original, wish, seconds]``; prints CPU seconds
for each time.
It is what somebody who knows libvips would write: thumbnail, sharpen, save; with the encoders'
efforts that Framekeep chose, so that a cheaper encoder is not taken for a cheaper server.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def rendered(data: bytes, wish: dict[str, Any]) -> bytes:
    import pyvips

    interesting = "attention" if wish["smart"] else "centre"
    options = {"height": wish["height"], "crop": interesting} if wish["height"] else {}
    image = pyvips.Image.thumbnail_buffer(
        data,
        wish["width"],
        size="both",
        option_string="[n=-1]" if wish["animated"] else "",
        **options,
    )
    if wish["sharpen"]:
        image = image.sharpen(sigma=wish["sharpen"])
    quality: dict[str, Any] = {"Q": wish["quality"], "keep": 0}
    match wish["format"]:
        case "jpeg":
            return bytes(image.jpegsave_buffer(optimize_coding=True, **quality))
        case "webp":
            effort = 4 if image.hasalpha() else 2
            return bytes(image.webpsave_buffer(effort=effort, **quality))
        case _:
            return bytes(image.heifsave_buffer(compression="av1", effort=3, bitdepth=10, **quality))


def main() -> None:
    name, wish, seconds = json.loads(sys.argv[1])
    data = Path(name).read_bytes()
    rendered(data, wish)
    times = 0
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds or times < 2:
        rendered(data, wish)
        times += 1
    print((time.process_time() - used) / times)


if __name__ == "__main__":
    main()
