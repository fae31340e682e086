"""Profiles to draw with, and how far apart two pictures look."""

import golden
import pictures
import pyvips


def profile(name: str) -> bytes:
    """One of the profiles that come with libvips."""
    found: bytes = pyvips.Operation.call("profile_load", name)
    return found


def difference(one: pictures.Pixels, other: pictures.Pixels) -> float:
    images = (
        pyvips.Image.new_from_array(each).copy(interpretation="srgb") for each in (one, other)
    )
    return golden.difference(*images)
