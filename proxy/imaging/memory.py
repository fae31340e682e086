"""Hold pixels that are read more than once: libvips computes them anew each time they are read."""

import pyvips

from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS


def hold(image: pyvips.Image) -> pyvips.Image:
    """The image with its pixels computed now, and once; a large one stays as it is."""
    is_large = image.width * image.height > MAX_IN_MEMORY_PIXELS
    return image if is_large else image.copy_memory()
