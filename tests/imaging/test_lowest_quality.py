"""The lowest quality that looks good enough is found with few encodes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.lowest_quality import Attempt, LowestQuality

QUALITIES = range(40, 71)
ENOUGH = len(QUALITIES)
ANY_BYTES = 10**9

slopes = st.floats(0.15, 1.5)
targets = st.floats(30, 90)


class Encoder:
    """Files whose looks and bytes rise with the quality."""

    def __init__(self, slope: float = 0.5, *, offset: float = 30.0, same: int = 1) -> None:
        self.slope, self.offset, self.same = slope, offset, same
        self.qualities: list[int] = []

    def look(self, quality: int) -> float:
        return self.offset + self.slope * (quality - quality % self.same)

    def __call__(self, quality: int) -> Attempt:
        self.qualities.append(quality)
        return Attempt(quality, bytes(100 * (quality - quality % self.same)), self.look(quality))


@given(slopes, targets, st.sampled_from(QUALITIES))
def test_the_lowest_quality_that_is_good_enough_is_found(
    slope: float, target: float, start: int
) -> None:
    encoder = Encoder(slope)
    found = LowestQuality(QUALITIES, encoder).find(start, target, ANY_BYTES, ENOUGH)
    good = [quality for quality in QUALITIES if encoder.look(quality) >= target]
    if not good:
        assert found is None
    else:
        # It may be one above, where the next lower one was not expected to be good enough.
        assert found is not None
        assert found.look >= target
        assert found.quality - good[0] <= max(1, 1 / slope)


@given(slopes, targets, st.sampled_from(QUALITIES), st.integers(0, 8000))
def test_no_file_is_worse_or_larger_than_allowed_and_none_is_made_twice(
    slope: float, target: float, start: int, max_bytes: int
) -> None:
    encoder = Encoder(slope)
    found = LowestQuality(QUALITIES, encoder).find(start, target, max_bytes, 4)
    assert len(encoder.qualities) == len(set(encoder.qualities)) <= 4
    if found is not None:
        assert found.look >= target
        assert len(found.body) <= max_bytes


@given(slopes, st.floats(-8, 8), targets, st.sampled_from(QUALITIES))
def test_previews_say_how_the_look_changes(
    slope: float, offset: float, target: float, start: int
) -> None:
    encoder, preview = Encoder(slope, same=3), Encoder(slope, offset=30 + offset, same=3)
    found = LowestQuality(QUALITIES, encoder, preview).find(start, target, ANY_BYTES, ENOUGH)
    good = [quality for quality in QUALITIES if encoder.look(quality) >= target]
    assert (found is None) == (not good)
    if found is not None:
        assert encoder.look(found.quality) == encoder.look(good[0])
    assert len(encoder.qualities) <= 3


@pytest.mark.parametrize("preview", [None, Encoder()])
def test_what_needs_too_many_bytes_is_given_up(
    preview: Callable[[int], Attempt] | None,
) -> None:
    encoder = Encoder()
    assert LowestQuality(QUALITIES, encoder, preview).find(50, 60.0, 5500, ENOUGH) is None
    assert len(encoder.qualities) <= 2
