"""The contenders: each places the crop of a picture at every aspect ratio.

A contender returns the upper left corner of the window by ratio, in pixels of the picture, and the
CPU seconds it took, where these can be measured.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyvips
from metric import RATIOS, Picture, Window
from PIL import Image

if TYPE_CHECKING:
    from proxy.geometry import Box

Corners = Mapping[str, tuple[float, float]]
Edges = tuple[float, float, float, float]


@dataclass(frozen=True)
class PlacedCrops:
    """Corners by ratio; ``seconds`` is None where the CPU time cannot be measured.

    ``area`` is the area of interest, ``free`` the crop that no ratio was asked for, as left, top,
    right, bottom; None where a contender has none. ``placement_seconds`` is the CPU time that it
    took to place one window.
    """

    corners: Corners
    seconds: float | None = None
    area: Edges | None = None
    free: Edges | None = None
    placement_seconds: float | None = None


Contender = Callable[[Picture], PlacedCrops]

INTEGER_RATIOS = {"1.91:1": "191x100"} | {
    name: name.replace(":", "x") for name in RATIOS if "." not in name
}
"""The ratios in whole numbers, as in links."""


def windows_by_ratio(picture: Picture) -> dict[str, Window]:
    return {name: window for name, (window, _) in picture.windows.items()}


def center(picture: Picture) -> PlacedCrops:
    """Center every crop."""
    return PlacedCrops(
        {
            name: ((picture.width - window.width) / 2, (picture.height - window.height) / 2)
            for name, window in windows_by_ratio(picture).items()
        }
    )


def libvips(interesting: str) -> Contender:
    """The smartcrop of libvips: ``attention`` or ``entropy``."""

    def place(picture: Picture) -> PlacedCrops:
        image = pyvips.Image.new_from_file(str(picture.path)).copy_memory()
        start = time.process_time()
        corners = {}
        for name, window in windows_by_ratio(picture).items():
            crop = image.smartcrop(window.width, window.height, interesting=interesting)
            corners[name] = (-crop.xoffset, -crop.yoffset)
        return PlacedCrops(corners, (time.process_time() - start) / len(corners))

    return place


def framekeep(models: str = "") -> Contender:
    """Framekeep's detection and placement in this process; one detection serves all ratios."""
    from proxy.geometry import Size
    from proxy.smartcrop.detector import SubjectDetector
    from proxy.smartcrop.models import ModelsConfig
    from proxy.smartcrop.placement import area_of_interest, best_crop, place_crop

    detector = SubjectDetector(ModelsConfig(models))
    detector.load()

    def place(picture: Picture) -> PlacedCrops:
        pixels = np.asarray(Image.open(picture.path).convert("RGB"))
        image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
        scaled = image.thumbnail_image(640, height=640, size="down").copy_memory()
        start = time.process_time()
        subject = detector.detect(scaled)
        seconds = time.process_time() - start
        size = Size(picture.width, picture.height)
        start = time.process_time()
        boxes = {
            name: place_crop(subject, size, Size(window.width, window.height)).box
            for name, window in windows_by_ratio(picture).items()
        }
        placement_seconds = (time.process_time() - start) / len(boxes)
        return PlacedCrops(
            {name: (box.left, box.top) for name, box in boxes.items()},
            seconds,
            _edges(area_of_interest(subject, size)),
            _edges(best_crop(subject, size).box),
            placement_seconds,
        )

    return place


def _edges(box: Box) -> Edges:
    return box.left, box.top, box.left + box.width, box.top + box.height


def framekeep_server(address: str, source: str) -> Contender:
    """A running Framekeep in which ``source`` is the alias of the folder of pictures."""

    def place(picture: Picture) -> PlacedCrops:
        ratios = ":".join(INTEGER_RATIOS[name] for name in RATIOS)
        info = _get_json(f"{address}/_/info:{ratios}/{source}:{quote(picture.path.name)}")
        corners = zip(RATIOS, info["windows"], strict=True)
        return PlacedCrops({name: (box["left"], box["top"]) for name, box in corners})

    return place


def smartcrop_js(folder: Path) -> Contender:
    """smartcrop.js, in a folder where ``npm install smartcrop sharp`` was run."""
    script = Path(__file__).with_name("smartcrop.mjs").read_text()
    process = subprocess.Popen(
        ["node", "--input-type=module", "--eval", script],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def place(picture: Picture) -> PlacedCrops:
        assert process.stdin is not None
        assert process.stdout is not None
        sizes = {
            name: [window.width, window.height]
            for name, window in windows_by_ratio(picture).items()
        }
        process.stdin.write(json.dumps({"path": str(picture.path), "sizes": sizes}) + "\n")
        process.stdin.flush()
        result = json.loads(process.stdout.readline())
        return PlacedCrops({name: tuple(corner) for name, corner in result["corners"].items()})

    return place


def thumbor(address: str) -> Contender:
    """A running thumbor whose file loader serves the folder of pictures."""

    def place(picture: Picture) -> PlacedCrops:
        corners = {}
        for name, window in windows_by_ratio(picture).items():
            size = f"{window.width}x{window.height}"
            meta = _get_json(f"{address}/unsafe/meta/{size}/smart/{quote(picture.path.name)}")
            crops = [step for step in meta["thumbor"]["operations"] if step["type"] == "crop"]
            corners[name] = (crops[0]["left"], crops[0]["top"]) if crops else (0, 0)
        return PlacedCrops(corners)

    return place


def _get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - the user's own server
        return json.load(response)
