"""Render metrics in the text formats that Prometheus reads.

`proxy.api.metrics` serves them at ``/metrics``; `proxy.telemetry.metrics` counts.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

import pyvips
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from proxy.cache.store import CacheStats, Kind
from proxy.telemetry.metrics import Metrics


def render_prometheus(
    metrics: Metrics, cache: Mapping[Kind, CacheStats], accept: str
) -> tuple[str, bytes]:
    """The media type that fits the ``Accept`` header best, and all metrics in it."""
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    registry.register(_CacheCollector(cache))
    registry.register(_BuildInfoCollector())
    return media_type, encode(registry)


class _CacheCollector(Collector):
    """What this machine's cache holds, which is no worker's own."""

    def __init__(self, cache: Mapping[Kind, CacheStats]) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        for name, documentation, value_of in _CACHE_GAUGES:
            family = GaugeMetricFamily(name, documentation, labels=["kind"])
            for kind, usage in self._cache.items():
                family.add_metric([kind], value_of(usage))
            yield family


_CACHE_GAUGES: tuple[tuple[str, str, Callable[[CacheStats], int]], ...] = (
    ("framekeep_cache_entries", "Entries in the cache of this machine.", lambda c: c.entries),
    ("framekeep_cache_bytes", "Bytes in the cache of this machine.", lambda c: c.bytes),
    ("framekeep_cache_max_bytes", "Bytes that the cache may take.", lambda c: c.budget),
)


class _BuildInfoCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        libvips = ".".join(str(pyvips.version(part)) for part in range(3))
        yield InfoMetricFamily(
            "framekeep_build",
            "Versions of Framekeep and libvips.",
            {"version": version("framekeep"), "libvips": libvips},
        )
