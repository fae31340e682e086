"""Who places crops: each takes a picture and the windows it is to place, and says where.

A contender maps ratios to the upper left corner of the window, in pixels of the picture, and says
how many seconds of one core it took where that can be told.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyvips
from metric import RATIOS, Picture, Window

Corners = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Placed:
    """Corners by ratio; ``seconds`` is None where only the waiting could be measured."""

    corners: Corners
    seconds: float | None = None


Contender = Callable[[Picture], Placed]

NAMES = {"1.91:1": "191x100"} | {name: name.replace(":", "x") for name in RATIOS if "." not in name}
"""The ratios as whole numbers, as links have them."""


def windows(picture: Picture) -> dict[str, Window]:
    return {name: frame for name, (frame, _) in picture.ratios.items()}


def centre(picture: Picture) -> Placed:
    """The middle."""
    frames = windows(picture).items()
    return Placed(
        {
            name: ((picture.width - frame.width) / 2, (picture.height - frame.height) / 2)
            for name, frame in frames
        }
    )


def libvips(interesting: str) -> Contender:
    """Libvips' own smartcrop: ``attention`` or ``entropy``."""

    def place(picture: Picture) -> Placed:
        image = pyvips.Image.new_from_file(str(picture.path)).copy_memory()
        began = time.process_time()
        corners = {}
        for name, frame in windows(picture).items():
            cut = image.smartcrop(frame.width, frame.height, interesting=interesting)
            corners[name] = (-cut.xoffset, -cut.yoffset)
        return Placed(corners, (time.process_time() - began) / len(corners))

    return place


def library(models: str = "") -> Contender:
    """Framekeep's eye and placement, in this process; one look serves all ratios."""
    from proxy.geometry import Size
    from proxy.smartcrop.detector import Eye
    from proxy.smartcrop.models import ModelsConfig
    from proxy.smartcrop.placement import place as placed

    eye = Eye(ModelsConfig(models))
    eye.load()

    def place(picture: Picture) -> Placed:
        image = pyvips.Image.new_from_file(str(picture.path)).colourspace("srgb")
        preview = image.thumbnail_image(640, height=640, size="down").copy_memory()
        began = time.process_time()
        focus = eye.look(preview)
        seconds = time.process_time() - began
        size = Size(picture.width, picture.height)
        boxes = {
            name: placed(focus, size, Size(frame.width, frame.height)).box
            for name, frame in windows(picture).items()
        }
        return Placed({name: (box.left, box.top) for name, box in boxes.items()}, seconds)

    return place


def server(address: str, source: str) -> Contender:
    """A running Framekeep, which has the pictures' folder as a source of that name."""

    def place(picture: Picture) -> Placed:
        ratios = ":".join(NAMES[name] for name in RATIOS)
        told = _asked(f"{address}/_/info:{ratios}/{source}:{quote(picture.path.name)}")
        corners = zip(RATIOS, told["windows"], strict=True)
        return Placed({name: (box["left"], box["top"]) for name, box in corners})

    return place


def smartcrop_js(folder: Path) -> Contender:
    """smartcrop.js, from a folder where ``npm install smartcrop sharp`` was run."""
    script = Path(__file__).with_name("smartcrop.mjs").read_text()
    process = subprocess.Popen(
        ["node", "--input-type=module", "--eval", script],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def place(picture: Picture) -> Placed:
        assert process.stdin is not None
        assert process.stdout is not None
        sizes = {name: [frame.width, frame.height] for name, frame in windows(picture).items()}
        process.stdin.write(json.dumps({"path": str(picture.path), "sizes": sizes}) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        return Placed({name: tuple(corner) for name, corner in told["corners"].items()})

    return place


def thumbor(address: str) -> Contender:
    """A running thumbor whose file loader has the pictures' folder as its root."""

    def place(picture: Picture) -> Placed:
        corners = {}
        for name, frame in windows(picture).items():
            size = f"{frame.width}x{frame.height}"
            told = _asked(f"{address}/unsafe/meta/{size}/smart/{quote(picture.path.name)}")
            crops = [step for step in told["thumbor"]["operations"] if step["type"] == "crop"]
            corners[name] = (crops[0]["left"], crops[0]["top"]) if crops else (0, 0)
        return Placed(corners)

    return place


def _asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - where the caller says
        return json.load(answer)
