"""What libvips keeps beside the pixels."""

from typing import Any

import pyvips


def told(image: pyvips.Image, name: str) -> Any:
    """The value of that name, None where the file said nothing."""
    return image.get(name) if image.get_typeof(name) else None
