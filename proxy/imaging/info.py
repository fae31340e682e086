"""Inspect an original: size, format, subject, placeholders. Nothing is rendered."""

from collections.abc import Sequence

import numpy as np

from proxy.buffers import Buffer
from proxy.geometry import Size
from proxy.imaging.decode import decode
from proxy.imaging.headers import probe
from proxy.imaging.picture import Detector, detection_size
from proxy.imaging.placeholders import THUMBNAIL_SIDE, blurhash, dominant_colors, thumbhash
from proxy.imaging.results import ImageInfo
from proxy.imaging.vips_errors import translate_vips_errors
from proxy.limits import Limits
from proxy.smartcrop.placement import area_of_interest, place_crops
from proxy.smartcrop.subject import Subject


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
            colors=dominant_colors(pixels),
        )
