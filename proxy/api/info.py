"""The JSON body of an ``info`` URL, which describes an original instead of rendering it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from proxy.geometry import Size
from proxy.imaging.results import ImageInfo
from proxy.smartcrop.area_of_interest import area_of_interest
from proxy.smartcrop.placement import place_crop

MEDIA_TYPE = b"application/json"


def body(image_info: ImageInfo, aspect_ratios: Sequence[Size]) -> bytes:
    """Encode the description, with the best crop (``windows``) for each aspect ratio."""
    size, subject = image_info.size, image_info.subject
    return msgspec.json.encode(
        {
            "width": size.width,
            "height": size.height,
            "format": image_info.format,
            "size_in_bytes": image_info.size_in_bytes,
            "frames": image_info.frame_count,
            "alpha": image_info.has_alpha,
            # As objects: a region alone is encoded as an array.
            "focus": [structs.asdict(region) for region in subject.regions],
            "area_of_interest": area_of_interest(subject, size),
            "windows": [_crop(image_info, aspect_ratio) for aspect_ratio in aspect_ratios],
            "blurhash": image_info.blurhash,
            "thumbhash": image_info.thumbhash,
            "colors": image_info.colors,
        }
    )


def _crop(image_info: ImageInfo, aspect_ratio: Size) -> dict[str, Any]:
    placement = place_crop(image_info.subject, image_info.size, aspect_ratio)
    return {
        "ratio": str(aspect_ratio),
        **structs.asdict(placement.box),
        "decided": placement.reason,
    }
