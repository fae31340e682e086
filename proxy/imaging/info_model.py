"""What there is to know of an original."""

from msgspec import Struct

from proxy.formats import Name
from proxy.geometry import Size
from proxy.smartcrop.subject import Focus


class Color(Struct, frozen=True):
    """A main colour as ``#rrggbb``, and the share of the picture that is nearest to it."""

    hex: str
    share: float


class Description(Struct, frozen=True):
    """An original: its upright size, how it is stored, its subject, and what may stand in for it.

    ``size_in_bytes`` is the file's; ``thumbhash`` is in base64; the first frame of an animation
    gives the placeholders.
    """

    size: Size
    format: Name
    size_in_bytes: int
    frames: int
    alpha: bool
    focus: Focus
    blurhash: str
    thumbhash: str
    colors: tuple[Color, ...]
