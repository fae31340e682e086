"""What libvips keeps beside the pixels: fields by name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyvips

PROFILE = "icc-profile-data"
ORIENTATION = "orientation"


def told(image: pyvips.Image, name: str) -> Any:
    """The value of that name, None where the file said nothing."""
    return image.get(name) if image.get_typeof(name) else None


def tell(
    image: pyvips.Image,
    *,
    pages: int | None = None,
    delays: Sequence[int] | None = None,
    loop: int | None = None,
    profile: bytes | None = None,
) -> pyvips.Image:
    """The same image with these fields set: what loaders say and savers of animations ask."""
    image = image.copy()
    if pages is not None:
        image.set_type(pyvips.GValue.gint_type, "n-pages", pages)
    if delays is not None:
        image.set_type(pyvips.GValue.array_int_type, "delay", list(delays))
    if loop is not None:
        image.set_type(pyvips.GValue.gint_type, "loop", loop)
    if profile is not None:
        blob: Any = profile  # which the stubs do not know
        image.set_type(pyvips.GValue.blob_type, PROFILE, blob)
    return image


def described_by(image: pyvips.Image, other: pyvips.Image) -> pyvips.Image:
    """The same image with what the other one says of its colours and of where its top is."""
    image = tell(image, profile=told(other, PROFILE))
    image.set_type(pyvips.GValue.gint_type, ORIENTATION, told(other, ORIENTATION) or 1)
    return image


RIGHTS = {0x8298: "exif-ifd0-Copyright", 0x013B: "exif-ifd0-Artist"}
"""EXIF tags and the names that libvips has for them."""

_TEXT = re.compile(r"(.*) \(.*, ASCII, \d+ components, \d+ bytes\)", re.DOTALL)
_LONGEST_RIGHT = 500


def rights(image: pyvips.Image) -> dict[str, str]:
    """What the file says of its copyright and its author: names of EXIF fields and their texts."""
    found = {}
    for name in RIGHTS.values():
        match = _TEXT.fullmatch(str(told(image, name) or ""))
        if match and (text := match[1].strip()):
            found[name] = text[:_LONGEST_RIGHT]
    return found


def claimed(image: pyvips.Image, wanted: Mapping[str, str]) -> pyvips.Image:
    """The same image with these EXIF fields and no other."""
    image = image.copy()
    for name in image.get_fields():
        if name.startswith("exif-"):
            image.remove(name)
    for name, text in wanted.items():
        image.set_type(pyvips.GValue.gstr_type, name, text)
    return image
