"""What of an original shall be read."""

from msgspec import Struct


class Wanted(Struct, frozen=True):
    """``count`` frames or pages from ``first`` on, which counts from 0.

    ``shrink`` is how many times smaller the raster may be; loaders that cannot shrink ignore it.
    """

    first: int = 0
    count: int = 1
    shrink: int = 1
