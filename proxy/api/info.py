"""The answer to a link that asks about an original instead of asking for a picture of it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.geometry import Box, Size
from proxy.imaging.info_model import Description
from proxy.smartcrop.area_of_interest import area_of_interest
from proxy.smartcrop.placement import place

MEDIA_TYPE = b"application/json"


def body(description: Description, windows: Sequence[Size]) -> bytes:
    """The description as JSON, with the window of each of these ratios."""
    picture = description.size
    told: dict[str, Any] = {
        "width": picture.width,
        "height": picture.height,
        "format": description.format,
        "size_in_bytes": description.size_in_bytes,
        "frames": description.frames,
        "alpha": description.alpha,
        "focus": [_named(region) for region in description.focus.regions],
        "area_of_interest": area_of_interest(description.focus, picture),
        "windows": [_window(description, ratio) for ratio in windows],
        "blurhash": description.blurhash,
        "thumbhash": description.thumbhash,
        "colors": description.colors,
    }
    return msgspec.json.encode(told)


def _named(region: Any) -> dict[str, Any]:
    """A region with the names of its fields; it is kept as a list, which is shorter."""
    return msgspec.structs.asdict(region)


def _window(description: Description, ratio: Size) -> dict[str, Any]:
    placed = place(description.focus, description.size, ratio)
    box: Box = placed.box
    return {"ratio": str(ratio), **msgspec.structs.asdict(box), "decided": placed.decided}
