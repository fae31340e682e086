"""The JSON body of a thumbor URL with ``meta``: the original, and what would be done to it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.geometry import Size
from proxy.imaging.results import ImageInfo
from proxy.operations.crop_region import CropRegion
from proxy.operations.estimate import PlanEstimate
from proxy.operations.fit_box import FitBox
from proxy.operations.flip import Flip
from proxy.operations.flop import Flop
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize


def body(image_info: ImageInfo, url: str, plan: Plan) -> bytes:
    """Encode the description. Operations that thumbor's does not name are left out, as there."""
    steps = PlanEstimate(plan).sizes_after(image_info.size)
    target = steps[-1][1] if steps else image_info.size
    described: dict[str, Any] = {
        "source": {
            "url": url,
            "width": image_info.size.width,
            "height": image_info.size.height,
            "frameCount": image_info.frame_count,
        },
        "operations": [each for step, size in steps for each in _describe(step, size)],
        "target": {"width": target.width, "height": target.height},
    }
    if plan.uses_detection:
        described["focal_points"] = list(_focal_points(image_info))
    return msgspec.json.encode({"thumbor": described})


def _describe(operation: Operation, size: Size) -> Iterator[dict[str, Any]]:
    match operation:
        case CropRegion():
            left, top = round(operation.left), round(operation.top)
            yield {
                "type": "crop",
                "left": left,
                "top": top,
                "right": left + size.width,
                "bottom": top + size.height,
            }
        case Resize() | FitBox():
            yield {"type": "resize", "width": size.width, "height": size.height}
        case Flop():
            yield {"type": "flip_horizontally"}
        case Flip():
            yield {"type": "flip_vertically"}


def _focal_points(image_info: ImageInfo) -> Iterator[dict[str, Any]]:
    """The subject's regions: their middle, their sides in pixels, and their weight."""
    width, height = image_info.size.width, image_info.size.height
    for region in image_info.subject.regions:
        yield {
            "x": round((region.left + region.right) / 2 * width),
            "y": round((region.top + region.bottom) / 2 * height),
            "width": round((region.right - region.left) * width),
            "height": round((region.bottom - region.top) * height),
            "z": region.weight,
            "origin": region.kind,
        }
