"""The JSON body of an ``info`` URL, which describes an original instead of rendering it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from proxy.geometry import Size
from proxy.imaging.results import ImageInfo
from proxy.smartcrop.placement import Placement
from proxy.smartcrop.subject import Region

MEDIA_TYPE = b"application/json"


def body(image_info: ImageInfo, aspect_ratios: Sequence[Size]) -> bytes:
    """Encode the description, with its crop (``windows``) for each of these aspect ratios."""
    size, subject = image_info.size, image_info.subject
    windows = zip(aspect_ratios, image_info.crops, strict=True)
    return msgspec.json.encode(
        {
            "width": size.width,
            "height": size.height,
            "format": image_info.format,
            "size_in_bytes": image_info.size_in_bytes,
            "frames": image_info.frame_count,
            "alpha": image_info.has_alpha,
            # As objects: a region alone is encoded as an array.
            "focus": [_region(region) for region in subject.regions],
            "area_of_interest": image_info.area_of_interest,
            "windows": [_window(aspect_ratio, crop) for aspect_ratio, crop in windows],
            "blurhash": image_info.blurhash,
            "thumbhash": image_info.thumbhash,
            "lqip": image_info.lqip,
            "colors": image_info.colors,
        }
    )


def _region(region: Region) -> dict[str, Any]:
    """Its class is named where the detector knows one."""
    values = structs.asdict(region)
    if not region.label:
        del values["label"]
    return values


def _window(aspect_ratio: Size, crop: Placement) -> dict[str, Any]:
    return {"ratio": str(aspect_ratio), **structs.asdict(crop.box), "decided": crop.reason}
