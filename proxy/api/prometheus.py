"""Numbers in the text formats that Prometheus reads. Only this module imports prometheus_client."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate

import pyvips
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from proxy.cache.store import Kind, Shelved
from proxy.telemetry.metrics import SECONDS, Reading

_ALL_SHOWN = 30
"""Rows up to which a counter shows those, too, that have counted nothing yet."""


def exposed(
    readings: Sequence[Reading], cache: Mapping[Kind, Shelved], accept: str
) -> tuple[str, bytes]:
    """The media type that fits the ``Accept`` header best, and the numbers in it."""
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(readings, cache))
    return media_type, encode(registry)


class _Read(Collector):
    def __init__(self, readings: Sequence[Reading], cache: Mapping[Kind, Shelved]) -> None:
        self._readings = readings
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        yield from map(_family, self._readings)
        for name, meaning, of in _OF_CACHE:
            family = GaugeMetricFamily(name, meaning, labels=["kind"])
            for kind, shelved in self._cache.items():
                family.add_metric([kind], of(shelved))
            yield family
        libvips = ".".join(str(pyvips.version(part)) for part in range(3))
        build = GaugeMetricFamily(
            "framekeep_build", "What runs here; always 1.", labels=["version", "libvips"]
        )
        build.add_metric([version("framekeep"), libvips], 1)
        yield build


_OF_CACHE: tuple[tuple[str, str, Callable[[Shelved], int]], ...] = (
    ("framekeep_cache_entries", "Things kept on this machine.", lambda kept: kept.entries),
    ("framekeep_cache_bytes", "Bytes kept on this machine.", lambda kept: kept.bytes),
    ("framekeep_cache_budget_bytes", "Bytes that may be kept here.", lambda kept: kept.budget),
)


def _family(reading: Reading) -> Metric:
    metric = reading.metric
    name, meaning, labels = f"framekeep_{metric.name}", metric.meaning, metric.labels
    match metric.kind:
        case "counter":
            counter = CounterMetricFamily(name, meaning, labels=labels)
            for row, numbers in reading.rows.items():
                if numbers[0] or len(reading.rows) <= _ALL_SHOWN:
                    counter.add_metric(row, numbers[0])
            return counter
        case "histogram":
            histogram = HistogramMetricFamily(name, meaning, labels=labels)
            for row, (*counts, total) in reading.rows.items():
                ends = (*map(str, SECONDS), "+Inf")
                buckets = list(zip(ends, accumulate(counts), strict=True))
                histogram.add_metric(row, buckets, total)
            return histogram
        case _:
            gauge = GaugeMetricFamily(name, meaning, labels=labels)
            for row, numbers in reading.rows.items():
                gauge.add_metric(row, numbers[0])
            return gauge
