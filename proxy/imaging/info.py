"""Inspect an original: size, format, subject, placeholders. Nothing is rendered."""

from base64 import b64encode
from collections.abc import Sequence

import numpy as np

from proxy.buffers import Buffer
from proxy.geometry import Size
from proxy.imaging.decode import decode
from proxy.imaging.encoders import encode_as
from proxy.imaging.headers import probe
from proxy.imaging.lqip import (
    LQIP_FORMAT,
    LQIP_QUALITY,
    LQIP_SIDE,
    MAX_LQIP_BYTES,
    shrink_to_lqip,
)
from proxy.imaging.picture import Detector, Picture, detection_size
from proxy.imaging.placeholders import THUMBNAIL_SIDE, blurhash, dominant_colors, thumbhash
from proxy.imaging.results import ImageInfo
from proxy.imaging.vips_errors import translate_vips_errors
from proxy.limits import Limits
from proxy.smartcrop.placement import area_of_interest, place_crops
from proxy.smartcrop.subject import Subject

_LQIP_QUALITIES = (LQIP_QUALITY, 10, 1)


def read_image_info(
    original: Buffer,
    limits: Limits,
    *,
    detector: Detector,
    subject: Subject | None = None,
    aspect_ratios: Sequence[Size] = (),
) -> ImageInfo:
    """Inspect an original, and place the crops of these aspect ratios.

    Give ``subject`` where it was detected before.

    Raises:
        ImageError: the original is not an image, or is damaged.
    """
    with translate_vips_errors():
        header = probe(original)
        picture = decode(
            original,
            limits,
            detector=detector,
            subject=subject,
            required_size=detection_size,
            output_format="auto",
        )
        picture, subject = picture.materialize().detect_subject()
        thumbnail = picture.frame(0).thumbnail_image(
            THUMBNAIL_SIDE, height=THUMBNAIL_SIDE, size="down"
        )
        thumbnail = thumbnail if thumbnail.hasalpha() else thumbnail.addalpha()
        pixels = np.asarray(thumbnail.numpy())
        size = picture.natural_size
        return ImageInfo(
            size=size,
            format=header.format,
            size_in_bytes=len(memoryview(original)),
            frame_count=picture.frame_count,
            has_alpha=bool(picture.image.hasalpha()),
            subject=subject,
            area_of_interest=area_of_interest(subject, size),
            crops=place_crops(subject, size, aspect_ratios),
            blurhash=blurhash(pixels),
            thumbhash=thumbhash(pixels),
            lqip=_lqip_data_uri(picture),
            colors=dominant_colors(pixels),
        )


def _lqip_data_uri(picture: Picture) -> str:
    """The placeholder as a ``data:`` URI of at most `MAX_LQIP_BYTES` before base64."""
    small = shrink_to_lqip(picture, LQIP_SIDE).materialize()
    files = (encode_as(small, LQIP_FORMAT, quality) for quality in _LQIP_QUALITIES)
    body = next(file for file in files if len(file) <= MAX_LQIP_BYTES)
    return f"data:image/{LQIP_FORMAT};base64,{b64encode(body).decode()}"
