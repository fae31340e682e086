"""One line from a picture and steps to a rendition."""

from typing import Any

import pictures

from proxy.imaging.image import Rendition
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.plan import OperationRegistry
from proxy.smartcrop.detector import Eye

EYE = Eye()
CATALOGUE = OperationRegistry(OPERATIONS)


def step(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": name, **fields}


def rendered(original: bytes, *steps: dict[str, Any], limits: Limits | None = None) -> Rendition:
    plan = CATALOGUE.plan(list(steps))
    return render(original, plan, limits or Limits(), eye=EYE).rendition


def pixels(
    original: bytes, *steps: dict[str, Any], limits: Limits | None = None
) -> pictures.Pixels:
    """What comes out without loss, (height, width, bands)."""
    return pictures.opened(
        rendered(original, *steps, step("convert", format="png"), limits=limits).body
    )
