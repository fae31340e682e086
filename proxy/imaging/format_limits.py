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

_UNSTREAMED: frozenset[FormatName] = frozenset(("avif", "heif", "jxl"))
"""Their encoders hold the whole picture, several times."""

_ANIMATION_COPIES = 2
"""For an animation they hold all pixels besides, and earlier frames to compare with."""


def can_hold(format: FormatName, size: Size) -> bool:
    """Whether the format can hold a picture of that size."""
    return max(size.width, size.height) <= MAX_SIDE.get(format, math.inf)


def has_encoder_memory(format: FormatName, size: Size, frames: int, limits: Limits) -> bool:
    """Whether there is memory to encode a picture or an animation whose frames have that size."""
    return format not in _UNSTREAMED or size.pixels <= _max_frame_pixels(frames, limits)


def check_encoder_memory(format: FormatName, size: Size, frames: int, limits: Limits) -> None:
    """Raise ImageTooLarge where an encoder would need more memory than there is."""
    if not has_encoder_memory(format, size, frames, limits):
        what = f"a frame of the result is {size}" if frames > 1 else f"the result is {size}"
        raise ImageTooLarge(
            f"{what}, more than {_max_frame_pixels(frames, limits)} pixels for "
            f"{format}, which is encoded as a whole (FRAMEKEEP_LIMITS_MAX_RESULT_PIXELS_UNSTREAMED)"
        )


def _max_frame_pixels(frames: int, limits: Limits) -> int:
    return limits.max_result_pixels_unstreamed // (_ANIMATION_COPIES if frames > 1 else 1)
