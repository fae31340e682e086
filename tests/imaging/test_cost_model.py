import pytest

from proxy.imaging.cost_model import EXPENSIVE_SECONDS, decode_cost, encode_cost
from proxy.imaging.headers import ImageHeader

MEGAPIXEL = 1_000_000


@pytest.mark.parametrize(
    "header",
    [
        ImageHeader("jpeg", 4000, 3000),
        ImageHeader("jpeg", 4000, 3000, scans=10),
        ImageHeader("png", 4000, 3000),
        ImageHeader("avif", 4000, 3000, needs_full_frame=True),
        ImageHeader("gif", 400, 300, frames=40),
    ],
)
def test_photographs_of_cameras_and_phones_are_cheap(header: ImageHeader) -> None:
    assert decode_cost(header) < EXPENSIVE_SECONDS


@pytest.mark.parametrize(
    "header",
    [
        ImageHeader("gif", 700, 700, frames=200),
        ImageHeader("avif", 5000, 5000, needs_full_frame=True),
        ImageHeader("jpeg", 7000, 7000, scans=10),
    ],
)
def test_large_animations_and_originals_near_the_limits_are_expensive(header: ImageHeader) -> None:
    assert decode_cost(header) > EXPENSIVE_SECONDS


def test_encode_cost_depends_on_the_format() -> None:
    """Common sizes are cheap in every format, a large AVIF is not."""
    for format in ("jpeg", "png", "webp", "avif"):
        assert encode_cost(format, 1600 * 1200) < EXPENSIVE_SECONDS
    assert encode_cost("avif", 40 * MEGAPIXEL) > EXPENSIVE_SECONDS
    assert encode_cost("gif", 20 * 400 * 300) > EXPENSIVE_SECONDS
    assert encode_cost("jpeg", 20 * MEGAPIXEL) < EXPENSIVE_SECONDS
