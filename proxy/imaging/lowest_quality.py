"""Find the lowest quality at which a picture looks as good as it has to, with few encodes."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

_USUAL_SLOPE = 0.4
"""How much better a picture looks at one more quality, until more is known: in SSIMULACRA2."""

_MIN_SLOPE, _MAX_SLOPE = 0.1, 2.0

_BYTES_A_POINT = 0.03
"""A picture that looks better by one point has at least so many more bytes, as a logarithm."""

_ERROR = 0.02
"""By how much the logarithm of estimated bytes may be too high."""


class Attempt(NamedTuple):
    """A file of this quality, and how good it looks."""

    quality: int
    body: bytes
    look: float


class LowestQuality:
    """Every file says how good the picture looks at one quality, and the others are estimated.

    Files of more bytes are taken to look better.
    """

    def __init__(
        self,
        qualities: Sequence[int],
        attempt: Callable[[int], Attempt],
        preview: Callable[[int], Attempt] | None = None,
    ) -> None:
        """``qualities`` are rising. ``preview`` makes other files, faster.

        They look better or worse than those of ``attempt``, by the same difference at each quality,
        and are equal where those are. Without it, estimates follow from the files so far.
        """
        self._qualities = qualities
        self._attempt = attempt
        self._preview = preview
        self._previews: dict[int, Attempt] = {}
        self._slope = _USUAL_SLOPE

    def find(self, start: int, target: float, max_bytes: int, max_attempts: int) -> Attempt | None:
        """The best file of at most ``max_bytes`` that looks at least as good as ``target``.

        The first one has about the quality ``start``.
        """
        low, high = 0, len(self._qualities) - 1
        index = min(bisect_left(self._qualities, start), high)
        best = worse = better = last = None
        for _ in range(max_attempts):
            current = self._attempt(self._qualities[index])
            if last is not None:
                self._note_slope(last, current)
            last = current
            if current.look >= target:
                better, high = current, index - 1
                best = current if len(current.body) <= max_bytes else best
                index = self._lowest_good(current, index, low, target)
            else:
                worse, low = current, index + 1
                index = self._next_good(current, index, high, target)
            if not low <= index <= high or _least_bytes(worse, better, target) > max_bytes:
                break
        return best

    def _lowest_good(self, current: Attempt, start: int, low: int, target: float) -> int:
        index = start
        while index > low and self._expected(current, index - 1) >= target:
            index -= 1
        while index < start and self._makes_same_file(index, start):
            index += 1
        return index

    def _next_good(self, current: Attempt, start: int, high: int, target: float) -> int:
        index = start + 1
        while index < high and (
            self._makes_same_file(index, start) or self._expected(current, index) < target
        ):
            index += 1
        return index

    def _expected(self, current: Attempt, index: int) -> float:
        quality = self._qualities[index]
        if self._preview is None:
            return current.look + self._slope * (quality - current.quality)
        one, other = (self._previewed(each, self._preview) for each in (quality, current.quality))
        return current.look + one.look - other.look

    def _makes_same_file(self, index: int, other: int) -> bool:
        if self._preview is None:
            return False
        qualities = self._qualities[index], self._qualities[other]
        one, two = (self._previewed(quality, self._preview) for quality in qualities)
        return one.body == two.body

    def _previewed(self, quality: int, preview: Callable[[int], Attempt]) -> Attempt:
        if quality not in self._previews:
            self._previews[quality] = preview(quality)
        return self._previews[quality]

    def _note_slope(self, one: Attempt, other: Attempt) -> None:
        slope = (other.look - one.look) / (other.quality - one.quality)
        self._slope = min(_MAX_SLOPE, max(_MIN_SLOPE, slope))


def _least_bytes(worse: Attempt | None, better: Attempt | None, target: float) -> float:
    """Bytes that a file has at least which looks just as good as the target."""
    if worse is None:
        return 0.0
    a_point = _BYTES_A_POINT
    if better is not None:
        growth = math.log(len(better.body) / len(worse.body))
        a_point = growth / (better.look - worse.look)
    return len(worse.body) * math.exp((target - worse.look) * a_point - _ERROR)
