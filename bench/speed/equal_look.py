"""AVIF and WebP at equal look: the same number for quality means another look in every server."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pyvips
from image_checks import WrongImage, decode_checked, reference_images
from load_generator import WrongResponse
from measure import CORES, Bench, first_responses, report_progress, run_cold
from scenarios import EQUAL_LOOK, ImageSpec, Scenario
from servers import Server
from statistics_table import median
from tables import Table

from proxy.imaging.ssimulacra2 import Pixels, Reference

_SCORE = 70.0
"""SSIMULACRA2 calls it high quality."""

_PHOTOS = ("photo0.jpg", "photo1.jpg", "photo2.jpg")
_SPECS = (ImageSpec(800, 0, "webp", 80), ImageSpec(800, 0, "avif", 50))
_MIN_QUALITY, _MAX_QUALITY = 30, 92
_SCORED = (400, 300)
"""Only the center is compared, in a quarter of the time."""


@dataclass(frozen=True)
class Look:
    """The mean score and the sum of bytes of all photographs at a quality."""

    quality: int
    score: float
    bytes: int


def run_equal_look(bench: Bench) -> Table:
    table = Table(
        "Equal look",
        f"{len(_PHOTOS)} photographs of 12 megapixels at 800 pixels. Each server has the quality "
        f"at which the center of its images has a mean SSIMULACRA2 of {_SCORE:g}; bytes are those "
        "at exactly this score, interpolated between two qualities.",
        ("format", "server", "quality", "SSIMULACRA2", "kB", "CPU ms"),
    )  # fmt: skip
    references = {name: _reference(bench, name) for name in _PHOTOS}
    for spec in _SPECS:
        for server in bench.servers:
            report_progress(f"{EQUAL_LOOK}: {spec.format}, {server.name}")
            try:
                table.add(spec.format, server.name, *_cells(bench, server, spec, references))
            except (WrongResponse, WrongImage, OSError) as error:
                table.add_error(spec.format, server.name, str(error) or type(error).__name__)
    return table


def _cells(
    bench: Bench, server: Server, spec: ImageSpec, references: Mapping[str, Reference]
) -> tuple[str, str, float, float]:
    """Quality, score, kilobytes and CPU milliseconds. Raises WrongResponse and WrongImage."""

    def look(quality: int) -> Look:
        return _measure_look(bench, server, replace(spec, quality=quality), references)

    low, high = find_look(look, score=_SCORE)
    kilobytes = _interpolate_bytes(low, high) / len(references) / 1000
    cpu = _cpu_ms(bench, server, replace(spec, quality=high.quality))
    return str(high.quality), f"{high.score:.1f}", kilobytes, cpu


def find_look(look: Callable[[int], Look], *, score: float) -> tuple[Look, Look]:
    """The looks at two neighboring qualities, between which the score is reached.

    Raises WrongResponse where no quality has such a look.
    """
    looks: dict[int, Look] = {}
    low, high = _MIN_QUALITY - 1, _MAX_QUALITY + 1
    while high - low > 1:
        middle = (low + high) // 2
        looks[middle] = look(middle)
        if looks[middle].score < score:
            low = middle
        else:
            high = middle
    if low not in looks or high not in looks:
        scores = ", ".join(f"{one.score:.1f} at {quality}" for quality, one in looks.items())
        raise WrongResponse(f"no quality has a SSIMULACRA2 of {score:g}: it is {scores}")
    return looks[low], looks[high]


def _measure_look(
    bench: Bench, server: Server, spec: ImageSpec, references: Mapping[str, Reference]
) -> Look:
    scores, size = [], 0
    for name, reference in references.items():
        (body,), _ = first_responses(server, bench.origin, Scenario(name, name, (spec,)))
        scores.append(reference.score(_pixels(decode_checked(body, spec, server.name))))
        size += len(body)
    return Look(spec.quality, sum(scores) / len(scores), size)


def _interpolate_bytes(low: Look, high: Look) -> float:
    """Bytes at the score: on a line between the logarithms of two sizes."""
    span = high.score - low.score
    share = (_SCORE - low.score) / span if span else 1.0
    return math.exp((1 - share) * math.log(low.bytes) + share * math.log(high.bytes))


def _cpu_ms(bench: Bench, server: Server, spec: ImageSpec) -> float:
    """CPU milliseconds of an uncached rendition: the median of rounds, with all photographs."""
    values = []
    for _ in range(bench.plan.rounds):
        cpu_seconds, count = 0.0, 0
        for name in _PHOTOS:
            scenario = Scenario(name, name, (spec,))
            bodies, seconds = first_responses(server, bench.origin, scenario)
            each = max(CORES, round(bench.plan.seconds / seconds))
            _, cpu = run_cold(server, bench.origin, scenario, bodies, connections=CORES, count=each)
            cpu_seconds += cpu / each
            count += 1
        values.append(1000 * cpu_seconds / count)
    return median(values)


def _reference(bench: Bench, name: str) -> Reference:
    (image,) = reference_images(bench.originals[name], _SPECS[0])
    return Reference(_pixels(image))


def _pixels(image: pyvips.Image) -> Pixels:
    image = image.gravity("centre", *_SCORED).colourspace("srgb")
    pixels: Pixels = image.extract_band(0, n=3).cast("uchar").numpy()
    return pixels
