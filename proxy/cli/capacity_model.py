"""How many cores, bytes and nodes a site needs: one division or product for each line.

All figures are per day unless they say otherwise. `docs/capacity.md` tells the formulas in words,
and where the defaults come from; `bench/capacity.py` measures them on a machine, and compares what
is calculated here with what a server did.
"""

import math
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field, structs

from proxy.server.config import MAX_WORKERS, workers_for

DAY_SECONDS = 86_400
_PRICED_DAYS = 30
_GIGABYTE = 1e9

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[float, Meta(ge=0, le=10**13)]
Milliseconds = Annotated[float, Meta(ge=0, le=600_000)]
ByteCount = Annotated[float, Meta(ge=0, le=10**12)]
Price = Annotated[float, Meta(ge=0, le=10**6)]


class Site(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What you know or expect of your site."""

    requests_per_day: Annotated[
        float, Meta(ge=1, le=10**13, description="image requests a day at the CDN")
    ] = 1e6
    hit_ratio: Annotated[Share, Meta(description="share of them that the CDN answers")] = 0.95
    cache_hit_ratio: Annotated[
        Share, Meta(description="share of the rest that the disk of a node answers")
    ] = 0.8
    bucket: Annotated[bool, Meta(description="nodes share their renditions through a bucket")] = (
        False
    )
    bucket_hit_ratio: Annotated[
        Share, Meta(description="share of what no disk has that the bucket answers")
    ] = 0.0
    original_hit_ratio: Annotated[
        Share, Meta(description="share of renders whose original is on the disk of the node")
    ] = 0.5
    peak_factor: Annotated[
        float, Meta(ge=1, le=24, description="requests in the busiest hour, in average hours")
    ] = 2.5
    sources: Annotated[Count, Meta(description="originals whose renditions are kept")] = 20_000.0
    renditions_per_source: Annotated[
        float, Meta(ge=0, le=10**6, description="files of each: sizes times formats")
    ] = 8.0
    originals_on_disk: Annotated[
        Share, Meta(description="share of the originals that disks keep")
    ] = 0.15
    optimized: Annotated[
        Share,
        Meta(description="share of renders that are made once more (FRAMEKEEP_OPTIMIZATION_MODE)"),
    ] = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.bucket_hit_ratio and not self.bucket:
            raise ValueError("bucket_hit_ratio: needs a bucket (--bucket)")


class Machines(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The nodes that you may have. Their disks and networks are what Framekeep may use."""

    cores: Annotated[int, Meta(ge=1, le=1024, description="cores of a node")] = 8
    disk_bytes: Annotated[
        float, Meta(ge=10**6, le=10**16, description="disk of a node, such as 500GB")
    ] = 500e9
    network_bytes_per_second: Annotated[
        float, Meta(ge=100_000, le=10**12, description="network of a node each way, such as 1.25GB")
    ] = 1.25e9
    workers: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_WORKERS,
            description="HTTP workers of a node; 0 is one for each two cores "
            "(FRAMEKEEP_SERVER_WORKERS)",
        ),
    ] = 0
    headroom: Annotated[
        float, Meta(ge=0, le=0.95, description="share of cores and network that stays free")
    ] = 0.4
    spare_nodes: Annotated[
        int, Meta(ge=0, le=1000, description="nodes more than needed, for those that fail")
    ] = 1


class RenditionKind(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of rendition: its share of all renders, CPU time of a miss, and bytes of the file."""

    share: Share
    cpu_ms: Milliseconds
    bytes: ByteCount


def _usual_kinds() -> dict[str, RenditionKind]:
    """The rows `avif`, `web` and `card` of docs/performance.md, in the mix of browsers."""
    return {
        "avif": RenditionKind(0.90, 99.0, 15_900.0),
        "webp": RenditionKind(0.06, 97.0, 78_300.0),
        "jpeg": RenditionKind(0.04, 46.0, 34_000.0),
    }


_SHARE_TOLERANCE = 0.005


class Figures(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured: CPU time, bytes and requests of one event of each sort."""

    kinds: Annotated[Mapping[str, RenditionKind], Meta(min_length=1, max_length=50)] = field(
        default_factory=_usual_kinds
    )
    hit_cpu_ms: Annotated[Milliseconds, Meta(description="CPU of a hit on the node")] = 0.024
    bucket_hit_cpu_ms: Annotated[
        Milliseconds, Meta(description="CPU of an answer from the bucket")
    ] = 2.0
    optimization_cpu_ms: Annotated[
        Milliseconds, Meta(description="CPU to make a rendition once more")
    ] = 2000.0
    original_bytes: Annotated[ByteCount, Meta(description="mean size of an original")] = 3e6
    entry_overhead_bytes: Annotated[
        ByteCount, Meta(description="disk of a cache entry beside its body")
    ] = 2000.0
    worker_memory_bytes: Annotated[
        ByteCount, Meta(description="memory of an HTTP worker with its cache in memory")
    ] = 164e6
    inflight_original_bytes: Annotated[
        ByteCount,
        Meta(description="originals in memory, each worker (FRAMEKEEP_SOURCES_MAX_INFLIGHT_BYTES)"),
    ] = 268_435_456.0
    render_memory_bytes: Annotated[
        ByteCount, Meta(description="memory of a render process with its largest image")
    ] = 420e6
    bucket_reads_per_miss: Annotated[
        float, Meta(ge=0, le=100, description="reads of the bucket for what no disk has")
    ] = 1.05
    bucket_writes_per_render: Annotated[
        float, Meta(ge=0, le=100, description="writes to the bucket for a render")
    ] = 1.0
    bucket_writes_per_fetch: Annotated[
        float, Meta(ge=0, le=100, description="writes to the bucket for a fetched original")
    ] = 1.0
    purge_poll_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3600,
            description="how often a node lists purges (FRAMEKEEP_SHARED_CACHE_PURGE_POLL_SECONDS)",
        ),
    ] = 5.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        total = sum(kind.share for kind in self.kinds.values())
        if abs(total - 1) > _SHARE_TOLERANCE:
            raise ValueError(f"kinds: the shares must add up to 1, not {total:g}")

    @property
    def render_cpu_ms(self) -> float:
        """CPU milliseconds of a miss, on average: fetch, render and store."""
        return sum(kind.share * kind.cpu_ms for kind in self.kinds.values())

    @property
    def rendition_bytes(self) -> float:
        return sum(kind.share * kind.bytes for kind in self.kinds.values())


class Prices(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What you pay, in your currency. A price that is not given costs nothing."""

    core_hour: Price = 0.0
    disk_gb_month: Price = 0.0
    node_egress_gb: Price = 0.0
    cdn_egress_gb: Price = 0.0
    bucket_gb_month: Price = 0.0
    bucket_million_reads: Price = 0.0
    bucket_million_writes: Price = 0.0


class Capacity(Struct, frozen=True, kw_only=True):
    """What is needed. Requests, renders and traffic are per day, ``peak_…`` per second."""

    origin_requests: float
    peak_requests: float
    peak_origin_requests: float
    disk_hits: float
    bucket_hits: float
    renders: float
    peak_renders: float
    fetches: float
    hit_cores: float
    render_cores: float
    optimization_cores: float
    cores: float
    nodes_for_cores: int
    nodes_for_disk: int
    nodes_for_network: int
    nodes: int
    memory_bytes_per_node: float
    rendition_disk_bytes: float
    original_disk_bytes: float
    disk_bytes: float
    bucket_bytes: float
    bucket_reads: float
    bucket_writes: float
    bucket_lists: float
    cdn_egress_bytes: float
    node_egress_bytes: float
    peak_node_egress_bytes: float
    fetched_bytes: float
    first_renders: float
    first_core_hours: float
    cost: float | None


def calculate(
    site: Site, machines: Machines, figures: Figures, prices: Prices | None = None
) -> Capacity:
    """Calculate what the site needs; ``cost`` is that of 30 days, None without prices."""
    origin = site.requests_per_day * (1 - site.hit_ratio)
    misses = origin * (1 - site.cache_hit_ratio)
    disk_hits, bucket_hits = origin * site.cache_hit_ratio, misses * site.bucket_hit_ratio
    renders = misses * (1 - site.bucket_hit_ratio)
    fetches = renders * (1 - site.original_hit_ratio)
    peak = site.peak_factor / DAY_SECONDS

    core_seconds = {
        "hits": (disk_hits * figures.hit_cpu_ms + bucket_hits * figures.bucket_hit_cpu_ms) / 1000,
        "renders": renders * figures.render_cpu_ms / 1000,
        "optimization": renders * site.optimized * figures.optimization_cpu_ms / 1000,
    }
    # Optimization runs when a node has time: it needs the day, not the busiest hour.
    busy = max(
        (core_seconds["hits"] + core_seconds["renders"]) * peak,
        sum(core_seconds.values()) / DAY_SECONDS,
    )
    cores = busy / (1 - machines.headroom)

    files = site.sources * site.renditions_per_source
    overhead = figures.entry_overhead_bytes
    rendition_disk = files * (figures.rendition_bytes + overhead)
    originals = site.sources * site.originals_on_disk
    original_disk = originals * (figures.original_bytes + overhead)
    disk = rendition_disk + original_disk

    egress, fetched = origin * figures.rendition_bytes, fetches * figures.original_bytes
    network = machines.network_bytes_per_second * (1 - machines.headroom)
    nodes_for = {
        "cores": math.ceil(cores / machines.cores),
        "disk": math.ceil(disk / machines.disk_bytes),
        "network": math.ceil(max(egress, fetched) * peak / network),
    }
    nodes = max(1, *nodes_for.values()) + machines.spare_nodes

    has_bucket = 1 if site.bucket else 0
    capacity = Capacity(
        origin_requests=origin,
        peak_requests=site.requests_per_day * peak,
        peak_origin_requests=origin * peak,
        disk_hits=disk_hits,
        bucket_hits=bucket_hits,
        renders=renders,
        peak_renders=renders * peak,
        fetches=fetches,
        hit_cores=core_seconds["hits"] * peak,
        render_cores=core_seconds["renders"] * peak,
        optimization_cores=core_seconds["optimization"] / DAY_SECONDS,
        cores=cores,
        nodes_for_cores=nodes_for["cores"],
        nodes_for_disk=nodes_for["disk"],
        nodes_for_network=nodes_for["network"],
        nodes=nodes,
        memory_bytes_per_node=workers_for(machines.cores, machines.workers)
        * (figures.worker_memory_bytes + figures.inflight_original_bytes)
        + machines.cores * figures.render_memory_bytes,
        rendition_disk_bytes=rendition_disk,
        original_disk_bytes=original_disk,
        disk_bytes=disk,
        bucket_bytes=has_bucket * rendition_disk,
        bucket_reads=has_bucket * misses * figures.bucket_reads_per_miss,
        bucket_writes=has_bucket
        * (renders * figures.bucket_writes_per_render + fetches * figures.bucket_writes_per_fetch),
        bucket_lists=has_bucket * nodes * DAY_SECONDS / figures.purge_poll_seconds,
        cdn_egress_bytes=site.requests_per_day * figures.rendition_bytes,
        node_egress_bytes=egress,
        peak_node_egress_bytes=egress * peak,
        fetched_bytes=fetched,
        first_renders=files,
        first_core_hours=files * figures.render_cpu_ms / 3_600_000,
        cost=None,
    )
    return capacity if prices is None else _with_cost(capacity, machines, prices)


def _with_cost(capacity: Capacity, machines: Machines, prices: Prices) -> Capacity:
    daily = (
        capacity.nodes * machines.cores * 24 * prices.core_hour
        + capacity.node_egress_bytes / _GIGABYTE * prices.node_egress_gb
        + capacity.cdn_egress_bytes / _GIGABYTE * prices.cdn_egress_gb
        + capacity.bucket_reads / 1e6 * prices.bucket_million_reads
        # A list costs as much as a write at the clouds that have both.
        + (capacity.bucket_writes + capacity.bucket_lists) / 1e6 * prices.bucket_million_writes
    )
    monthly = (
        capacity.nodes * machines.disk_bytes / _GIGABYTE * prices.disk_gb_month
        + capacity.bucket_bytes / _GIGABYTE * prices.bucket_gb_month
    )
    return structs.replace(capacity, cost=daily * _PRICED_DAYS + monthly)
