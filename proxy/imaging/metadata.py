"""Read and write the metadata that libvips holds beside the pixels, as fields by name."""

from collections.abc import Sequence
from typing import Any

import pyvips

PROFILE = "icc-profile-data"
ORIENTATION = "orientation"
EXIF, XMP, IPTC = "exif-data", "xmp-data", "iptc-data"


def get_field(image: pyvips.Image, name: str) -> Any:
    """The field's value, None where the image has no such field."""
    return image.get(name) if image.get_typeof(name) else None


def set_fields(
    image: pyvips.Image,
    *,
    interpretation: str | None = None,
    pages: int | None = None,
    delays: Sequence[int] | None = None,
    loop: int | None = None,
    profile: bytes | None = None,
    orientation: int | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> pyvips.Image:
    """A copy of the image with these fields, which libvips' own decoders set too."""
    changes: dict[str, Any] = {} if interpretation is None else {"interpretation": interpretation}
    image = image.copy(**changes)
    if pages is not None:
        image.set_type(pyvips.GValue.gint_type, "n-pages", pages)
    if delays is not None:
        image.set_type(pyvips.GValue.array_int_type, "delay", list(delays))
    if loop is not None:
        image.set_type(pyvips.GValue.gint_type, "loop", loop)
    blobs: dict[str, Any] = {PROFILE: profile, EXIF: exif, XMP: xmp}  # the stubs allow no bytes
    for name, value in blobs.items():
        if value is not None:
            image.set_type(pyvips.GValue.blob_type, name, value)
    if orientation is not None:
        image.set_type(pyvips.GValue.gint_type, ORIENTATION, orientation)
    return image


def copy_color_metadata(image: pyvips.Image, source: pyvips.Image) -> pyvips.Image:
    """A copy of the image with the color space and the orientation of another one."""
    return set_fields(
        image,
        interpretation=str(source.interpretation),
        profile=get_field(source, PROFILE),
        orientation=get_field(source, ORIENTATION) or 1,
    )


def with_metadata(image: pyvips.Image, *, exif: bytes, xmp: bytes) -> pyvips.Image:
    """The image with this EXIF and XMP and no other; empty is none."""
    obsolete = [
        name for name in image.get_fields() if name.startswith("exif-") or name in (XMP, IPTC)
    ]
    if obsolete:
        image = image.copy()
        for name in obsolete:
            image.remove(name)
    return set_fields(image, exif=exif or None, xmp=xmp or None) if exif or xmp else image
