"""The scores of SSIMULACRA2 that may be asked for. HTTP workers know them without the metric."""

from collections.abc import Mapping

TARGETS: Mapping[str, float] = {"best": 85.0, "good": 75.0, "eco": 65.0, "low": 55.0}
"""The scores of the names that `convert` takes."""

MIN_TARGET, MAX_TARGET = 30.0, 92.0

SAMPLE_PIXELS = 65_536
"""The most pixels that are encoded to find a quality."""

MAX_SAMPLE_ENCODES = 3
"""How often they are encoded at most; most pictures need one or two."""
