"""ICC profiles for tests, and the color difference of two pictures."""

import golden
import pictures
import pyvips


def load_profile(name: str) -> bytes:
    """A profile that is built into libvips."""
    data: bytes = pyvips.Operation.call("profile_load", name)
    return data


def difference(one: pictures.Pixels, other: pictures.Pixels) -> float:
    """Mean CIEDE2000, see `golden.difference`."""
    images = (
        pyvips.Image.new_from_array(each).copy(interpretation="srgb") for each in (one, other)
    )
    return golden.difference(*images)
