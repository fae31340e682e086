"""Who is served next: cheap work never stands behind dear work, and neither starves the other."""

from collections.abc import Sequence

from proxy.render.protocol import LANES, Lane

_HALF_LIFE = 10.0
"""Seconds of work after which what a lane was given before counts half."""


def lanes_of(slot: int, processes: int) -> Sequence[Lane]:
    """The lanes that a renderer serves; of several renderers, the first is for live work alone."""
    return LANES if slot > 0 or processes == 1 else ("live",)


class Turn:
    """One renderer's choice between lanes: the one that was given less time lately goes first.

    Nobody waits for background work, so it goes last whatever it was given.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self._given = dict.fromkeys(lanes, 0.0)

    def order(self) -> Sequence[Lane]:
        return sorted(self.lanes, key=lambda lane: (lane == "background", self._given[lane]))

    def spent(self, lane: Lane, seconds: float) -> None:
        fading = 0.5 ** (seconds / _HALF_LIFE)
        for other in self.lanes:
            self._given[other] *= fading
        self._given[lane] += seconds
