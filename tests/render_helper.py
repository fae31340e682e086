"""Render an original by steps, in one line."""

from typing import Any

import pictures

from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

DETECTOR = SubjectDetector()
REGISTRY = OperationRegistry(OPERATIONS)


def step(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": name, **fields}


def render_steps(
    original: bytes, *steps: dict[str, Any], limits: Limits | None = None
) -> Rendition:
    plan = REGISTRY.plan(list(steps))
    return render(original, plan, limits or Limits(), detector=DETECTOR).rendition


def render_pixels(
    original: bytes, *steps: dict[str, Any], limits: Limits | None = None
) -> pictures.Pixels:
    """The pixels of the result, encoded without loss: (height, width, bands)."""
    return pictures.decode(
        render_steps(original, *steps, step("convert", format="png"), limits=limits).body
    )
