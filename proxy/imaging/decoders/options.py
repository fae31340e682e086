"""Which part of an original to decode."""

from msgspec import Struct


class DecodeOptions(Struct, frozen=True):
    """``frame_count`` frames or pages, from ``first_frame`` on, which counts from 0.

    ``shrink`` is the integer factor by which a frame may be smaller; decoders that cannot shrink
    ignore it. ``scale`` is the factor by which drawings are larger than their own size.

    With ``is_repaired`` the file was repaired, and must be decoded without any fault. With
    ``header_only`` the metadata are read, and a decoder need not be able to read the pixels.
    """

    first_frame: int = 0
    frame_count: int = 1
    shrink: int = 1
    is_repaired: bool = False
    scale: float = 1.0
    header_only: bool = False
