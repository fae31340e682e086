import pytest

from proxy.imaging.cost_model import HEAVY_SECONDS, decoding, encoding
from proxy.imaging.headers import Header

MEGAPIXEL = 1_000_000


@pytest.mark.parametrize(
    "header",
    [
        Header("jpeg", 4000, 3000),
        Header("jpeg", 4000, 3000, scans=10),
        Header("png", 4000, 3000),
        Header("avif", 4000, 3000, held=True),
        Header("gif", 400, 300, frames=40),
    ],
)
def test_what_cameras_and_phones_make_is_cheap(header: Header) -> None:
    assert decoding(header) < HEAVY_SECONDS


@pytest.mark.parametrize(
    "header",
    [
        Header("gif", 700, 700, frames=200),
        Header("avif", 5000, 5000, held=True),
        Header("jpeg", 7000, 7000, scans=10),
    ],
)
def test_large_animations_and_what_is_near_the_limits_is_dear(header: Header) -> None:
    assert decoding(header) > HEAVY_SECONDS


def test_writing_is_dear_by_format() -> None:
    """The usual sizes of the web are cheap in every format, a large AVIF is not."""
    for name in ("jpeg", "png", "webp", "avif"):
        assert encoding(name, 1600 * 1200) < HEAVY_SECONDS
    assert encoding("avif", 40 * MEGAPIXEL) > HEAVY_SECONDS
    assert encoding("gif", 20 * 400 * 300) > HEAVY_SECONDS
    assert encoding("jpeg", 20 * MEGAPIXEL) < HEAVY_SECONDS
