"""Read and write the metadata that libvips holds beside the pixels, as fields by name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyvips

PROFILE = "icc-profile-data"
ORIENTATION = "orientation"


def get_field(image: pyvips.Image, name: str) -> Any:
    """The field's value, None where the image has no such field."""
    return image.get(name) if image.get_typeof(name) else None


def set_fields(
    image: pyvips.Image,
    *,
    pages: int | None = None,
    delays: Sequence[int] | None = None,
    loop: int | None = None,
    profile: bytes | None = None,
    orientation: int | None = None,
) -> pyvips.Image:
    """A copy of the image with these fields, which libvips' own decoders set too."""
    image = image.copy()
    if pages is not None:
        image.set_type(pyvips.GValue.gint_type, "n-pages", pages)
    if delays is not None:
        image.set_type(pyvips.GValue.array_int_type, "delay", list(delays))
    if loop is not None:
        image.set_type(pyvips.GValue.gint_type, "loop", loop)
    if profile is not None:
        value: Any = profile  # the stubs do not allow bytes
        image.set_type(pyvips.GValue.blob_type, PROFILE, value)
    if orientation is not None:
        image.set_type(pyvips.GValue.gint_type, ORIENTATION, orientation)
    return image


def copy_color_metadata(image: pyvips.Image, source: pyvips.Image) -> pyvips.Image:
    """A copy of the image with the color profile and the orientation of another one."""
    orientation = get_field(source, ORIENTATION) or 1
    return set_fields(image, profile=get_field(source, PROFILE), orientation=orientation)


COPYRIGHT_TAGS = {0x8298: "exif-ifd0-Copyright", 0x013B: "exif-ifd0-Artist"}
"""EXIF tags, and libvips' names for them."""

_EXIF_TEXT = re.compile(r"(.*) \(.*, ASCII, \d+ components, \d+ bytes\)", re.DOTALL)
_MAX_TEXT_LENGTH = 500


def copyright_fields(image: pyvips.Image) -> dict[str, str]:
    """The copyright notice and the author: names of EXIF fields and their texts."""
    texts = {}
    for name in COPYRIGHT_TAGS.values():
        match = _EXIF_TEXT.fullmatch(str(get_field(image, name) or ""))
        if match and (text := match[1].strip()):
            texts[name] = text[:_MAX_TEXT_LENGTH]
    return texts


def with_exif(image: pyvips.Image, texts: Mapping[str, str]) -> pyvips.Image:
    """A copy of the image with these EXIF fields and no others."""
    image = image.copy()
    for name in image.get_fields():
        if name.startswith("exif-"):
            image.remove(name)
    for name, text in texts.items():
        image.set_type(pyvips.GValue.gstr_type, name, text)
    return image
