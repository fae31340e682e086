"""What libvips keeps beside the pixels: fields by name."""

from collections.abc import Sequence
from typing import Any

import pyvips

PROFILE = "icc-profile-data"


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
