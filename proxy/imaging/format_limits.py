"""Which formats can hold a picture, and which of their encoders have the memory for it."""

import math
from collections.abc import Mapping

from proxy.errors import ImageTooLarge
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.limits import Limits

MAX_SIDE: Mapping[FormatName, int] = {
    "webp": 16_383,
    "avif": 16_384,
    "jpeg": 65_535,
    "gif": 65_535,
}

UNSTREAMED: frozenset[FormatName] = frozenset(("avif", "heif", "jxl"))
"""Their encoders hold the whole picture, several times."""


def can_hold(format: FormatName, size: Size) -> bool:
    """Whether the format can hold a picture of that size."""
    return max(size.width, size.height) <= MAX_SIDE.get(format, math.inf)


def check_encoder_memory(format: FormatName, size: Size, limits: Limits) -> None:
    """Raise ImageTooLarge where an encoder would need more memory than there is."""
    if format in UNSTREAMED and size.pixels > limits.max_result_pixels_unstreamed:
        raise ImageTooLarge(
            f"the result is {size}, more than {limits.max_result_pixels_unstreamed} pixels for "
            f"{format}, which is encoded as a whole (FRAMEKEEP_LIMITS_MAX_RESULT_PIXELS_UNSTREAMED)"
        )
