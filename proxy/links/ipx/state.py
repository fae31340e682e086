"""What the modifiers of an IPX link say."""

from typing import Literal

from msgspec import Struct

Fit = Literal["cover", "contain", "fill", "inside", "outside"]


class LinkModifiers(Struct):
    """Sizes are in pixels, 0 is "not given". A color is six digits, or ``transparent``."""

    width: int = 0
    height: int = 0
    box: tuple[int, int] | None = None
    is_box_first: bool = False
    """Whether the box was written as ``resize``, which IPX applies before ``rotate``."""
    fit: Fit = "cover"
    position: str = "center"
    background: str = ""
    enlarge: bool = False
    format: str = ""
    quality: int = 0
    animated: bool = False
    rotate: float = 0.0
    flip: bool = False
    flop: bool = False
    trim: float | None = None
    extract: tuple[int, int, int, int] | None = None
    """Left, top, width, height."""
    extend: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, right, bottom, left."""
    flatten: bool = False
    gamma: tuple[float, float] | None = None
    """Before and after scaling."""
    grayscale: bool = False
    median: int = 0
    threshold: int | None = None
    blur: float = 0.0
    brightness: float = 1.0
    saturation: float = 1.0
    hue: int = 0
    sharpen: float = 0.0
    opacity: float = 1.0
    normalize: bool = False
    tint: str = ""
    negate: bool = False
