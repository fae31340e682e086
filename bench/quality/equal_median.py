"""Compare a look with one quality for all pictures that gives the same median score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_STEPS_PER_QUALITY = 10


class Encoded(NamedTuple):
    """The file of a picture: its quality on the encoder's scale, its score, its bytes."""

    quality: int
    score: float
    bytes: int


class Comparison(NamedTuple):
    """``quality`` gives all pictures the median score that the look gives them.

    A spread lies between the 5th and the 95th percentile. ``bytes`` is the size of all files by
    look, divided by that at one quality.
    """

    quality: float
    median: float
    one_quality_spread: float
    look_spread: float
    bytes: float


def compare(by_quality: Sequence[Sequence[Encoded]], by_look: Sequence[Encoded]) -> Comparison:
    """Compare files by look with those of the same pictures at a grid of qualities.

    Between two qualities of the grid, scores and bytes are read off a straight line.

    Raises ValueError where the grid does not reach the median score of the look.
    """
    median = float(np.median([encoded.score for encoded in by_look]))
    qualities = [encoded.quality for encoded in by_quality[0]]
    steps = (qualities[-1] - qualities[0]) * _STEPS_PER_QUALITY + 1
    candidates = np.linspace(qualities[0], qualities[-1], steps)
    scores = _at(candidates, by_quality, "score")
    medians = np.median(scores, axis=0)
    if not medians.min() <= median <= medians.max():
        raise ValueError(
            f"the qualities {qualities[0]} to {qualities[-1]} give median scores from "
            f"{medians.min():.1f} to {medians.max():.1f}, and the look {median:.1f}"
        )
    nearest = int(np.abs(medians - median).argmin())
    bytes_at_quality = _at(candidates[nearest : nearest + 1], by_quality, "bytes").sum()
    return Comparison(
        quality=float(candidates[nearest]),
        median=median,
        one_quality_spread=spread(scores[:, nearest]),
        look_spread=spread([encoded.score for encoded in by_look]),
        bytes=sum(encoded.bytes for encoded in by_look) / float(bytes_at_quality),
    )


def spread(scores: Values | Sequence[float]) -> float:
    """The distance between the 5th and the 95th percentile."""
    low, high = np.percentile(scores, (5, 95))
    return float(high - low)


def farthest_names(scores: Mapping[str, float], count: int) -> list[str]:
    """The names of the lowest and of the highest scores, ``count`` of each, each once."""
    ordered = sorted(scores, key=lambda name: (scores[name], name))
    return list(dict.fromkeys(ordered[:count] + ordered[-count:]))


def _at(qualities: Values, grid: Sequence[Sequence[Encoded]], field: str) -> Values:
    """The score or the bytes of each picture (rows) at these qualities (columns)."""
    return np.array(
        [
            np.interp(
                qualities,
                [encoded.quality for encoded in row],
                [getattr(encoded, field) for encoded in row],
            )
            for row in grid
        ]
    )
