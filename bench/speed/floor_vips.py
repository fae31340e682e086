"""A floor for renders: the same libvips calls in a loop, without server, network, limits or checks.

``python floor_vips.py ARGUMENT``, a JSON list ``[original, image spec, seconds, efforts]``, prints
the CPU seconds of one rendition. It is what somebody who knows libvips would write: thumbnail,
sharpen, save. Efforts are ``[libwebp's method, libaom's speed]``, or null for those that Framekeep
uses at these sizes, so that a cheaper encoder is not mistaken for a cheaper server.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

_FRAMEKEEP_WEBP_EFFORT, _FRAMEKEEP_WEBP_EFFORT_ALPHA, _FRAMEKEEP_AVIF_EFFORT = 2, 4, 1


def render(data: bytes, spec: dict[str, Any], efforts: tuple[int, int] | None) -> bytes:
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
            usual = _FRAMEKEEP_WEBP_EFFORT_ALPHA if image.hasalpha() else _FRAMEKEEP_WEBP_EFFORT
            effort = efforts[0] if efforts else usual
            return bytes(image.webpsave_buffer(effort=effort, **quality))
        case _:
            effort = 9 - efforts[1] if efforts else _FRAMEKEEP_AVIF_EFFORT
            quality |= {"compression": "av1", "effort": effort, "bitdepth": 10}
            return bytes(image.heifsave_buffer(**quality))


def main() -> None:
    name, spec, seconds, efforts = json.loads(sys.argv[1])
    data = Path(name).read_bytes()
    render(data, spec, efforts)
    count = 0
    start, cpu_start = time.monotonic(), time.process_time()
    while time.monotonic() - start < seconds or count < 2:
        render(data, spec, efforts)
        count += 1
    print((time.process_time() - cpu_start) / count)


if __name__ == "__main__":
    main()
