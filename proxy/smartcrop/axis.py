"""Place a window along one axis of a picture."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple

from proxy.smartcrop.evidence import Evidence

# Detectors find the edge of a face to about a tenth of its width, and hair, hat and chin need
# space: a window with more space around a face scores higher. Of a face that is larger than the
# window, the inner part is kept. As shares of the face: at the sides and below, above.
_FACE_MARGINS = ((-0.08, -0.08), (0.02, 0.05), (0.12, 0.2), (0.25, 0.45))
_CUT_FACE = 0.6  # what is left of a cut face, relative to the share that is inside
_CUT_BODY = 0.9  # the same for a body
_WHOLE = 0.995  # share from which something counts as whole
_MAIN = 0.1  # share of all value from which a body should be whole
_OBJECT_MARGIN = 0.05  # around bodies and objects, as a share of their side
_CENTER_PENALTY = 0.08  # for a distance of one picture from the center of the evidence


class _Indivisible(NamedTuple):
    """An interval whose parts are worth less than their share."""

    start: float
    end: float
    value: float
    cut_factor: float


class AxisProfile:
    """The evidence along one axis, in fractions of it."""

    def __init__(self, evidence: Sequence[Evidence], *, vertical: bool) -> None:
        """There is some evidence."""
        total = sum(each.value for each in evidence)
        moment = 0.0
        self._indivisible: list[_Indivisible] = []
        changes: dict[float, float] = {}  # of the density, at a position
        for each in evidence:
            edges, value = each.edges, each.value
            start, end = (edges.top, edges.bottom) if vertical else (edges.left, edges.right)
            length = end - start
            moment += value * (start + end) / 2
            if each.kind == "face":
                for margin, above in _FACE_MARGINS:
                    before = max(0.0, start - (above if vertical else margin) * length)
                    after = min(1.0, end + margin * length)
                    part = value / len(_FACE_MARGINS)
                    self._indivisible.append(_Indivisible(before, after, part, _CUT_FACE))
                continue
            if each.kind != "saliency":
                start = max(0.0, start - _OBJECT_MARGIN * length)
                end = min(1.0, end + _OBJECT_MARGIN * length)
                if each.kind == "body" and value >= _MAIN * total:
                    self._indivisible.append(_Indivisible(start, end, value, _CUT_BODY))
                    continue
            density = value / (end - start)
            changes[start] = changes.get(start, 0.0) + density
            changes[end] = changes.get(end, 0.0) - density
        self._center = moment / total
        self._positions = sorted(changes)
        self._densities: list[float] = []
        self._cumulative: list[float] = []
        density = mass = before = 0.0
        for position in self._positions:
            mass += density * (position - before)
            density += changes[position]
            before = position
            self._densities.append(density)
            self._cumulative.append(mass)

    def best_start(self, length: int, window: int, keep: tuple[int, int] | None) -> int:
        """The best start of a window, in pixels of an axis of that length.

        The window contains ``keep`` (start and end in pixels) where it is long enough.
        """
        first, last = 0, length - window
        if keep is not None and keep[1] - keep[0] <= window:
            first, last = max(first, keep[1] - window), min(last, keep[0])
        if first >= last:
            return min(first, length - window)
        centered = round(self._center * length - window / 2)
        starts = {first, last, min(last, max(first, centered))}
        # Between these the score is linear, so one of them is the best.
        for position in self._positions:
            starts.add(round(position * length))
            starts.add(round(position * length) - window)
        for each in self._indivisible:
            starts.add(floor(each.start * length))
            starts.add(ceil(each.end * length) - window)
        best, best_score = first, float("-inf")
        for start in sorted(start for start in starts if first <= start <= last):
            score = self._score(start / length, (start + window) / length)
            if score > best_score + 1e-9:
                best, best_score = start, score
        return best

    def _score(self, start: float, end: float) -> float:
        """What a window from ``start`` to ``end`` is worth."""
        score = self._mass_before(end) - self._mass_before(start)
        for each in self._indivisible:
            low = max(each.start, start)
            high = min(each.end, end)
            if high > low:
                inside = (high - low) / (each.end - each.start)
                score += each.value * (inside if inside >= _WHOLE else inside * each.cut_factor)
        return score - _CENTER_PENALTY * abs((start + end) / 2 - self._center)

    def _mass_before(self, position: float) -> float:
        index = bisect_right(self._positions, position) - 1
        if index < 0:
            return 0.0
        passed = position - self._positions[index]
        return self._cumulative[index] + self._densities[index] * passed
