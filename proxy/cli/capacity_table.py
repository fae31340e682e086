"""The table of `framekeep capacity`: a line for each figure, a column for each site."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from proxy.cli.capacity_model import Capacity, Machines, Site

_UNITS = ("", "k", "M", "G", "T", "P", "E")


def format_number(value: float) -> str:
    """Three significant digits, such as ``0.0123``, ``12.3``, ``1,230`` or ``12.3 M``."""
    if 0 < value < 0.001:
        return "< 0.001"
    if value < 1e5:
        return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return _with_unit(value)


def format_bytes(value: float) -> str:
    """Three significant digits and a unit, such as ``12.3 GB``."""
    return f"{_with_unit(value)}B" if value >= 1000 else f"{value:.3g} B"


def _with_unit(value: float) -> str:
    power = 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {_UNITS[power]}"


def spell(value: float) -> str:
    """As an option takes it, such as ``0.95`` or ``1.25G``."""
    return _with_unit(value).replace(" ", "") if value >= 1000 else f"{value:g}"


def _bits_per_second(value: float) -> str:
    return f"{_with_unit(value * 8)}bit"


class _Row(NamedTuple):
    label: str
    value: Callable[[Site, Capacity], float]
    format: Callable[[float], str] = format_number


_SECTIONS: Sequence[tuple[str, Sequence[_Row]]] = (
    (
        "requests",
        (
            _Row("at the CDN, a day", lambda site, _: site.requests_per_day),
            _Row("at the CDN, a second in the busiest hour", lambda _, need: need.peak_requests),
            _Row("that reach the nodes, a day", lambda _, need: need.origin_requests),
            _Row("that reach the nodes, a second", lambda _, need: need.peak_origin_requests),
            _Row("answered from disk or memory, a day", lambda _, need: need.disk_hits),
            _Row("answered from the bucket, a day", lambda _, need: need.bucket_hits),
            _Row("rendered, a day", lambda _, need: need.renders),
            _Row("rendered, a second in the busiest hour", lambda _, need: need.peak_renders),
            _Row("originals fetched, a day", lambda _, need: need.fetches),
        ),
    ),
    (
        "cores in the busiest hour",
        (
            _Row("for hits", lambda _, need: need.hit_cores),
            _Row("for renders", lambda _, need: need.render_cores),
            _Row("for optimization, over the day", lambda _, need: need.optimization_cores),
            _Row("all, with headroom", lambda _, need: need.cores),
        ),
    ),
    (
        "nodes",
        (
            _Row("for the cores", lambda _, need: need.nodes_for_cores),
            _Row("for the disk", lambda _, need: need.nodes_for_disk),
            _Row("for the network", lambda _, need: need.nodes_for_network),
            _Row("nodes, with spare ones", lambda _, need: need.nodes),
            _Row("memory of a node", lambda _, need: need.memory_bytes_per_node, format_bytes),
        ),
    ),
    (
        "disk of all nodes",
        (
            _Row("renditions", lambda _, need: need.rendition_disk_bytes, format_bytes),
            _Row("originals", lambda _, need: need.original_disk_bytes, format_bytes),
            _Row("all", lambda _, need: need.disk_bytes, format_bytes),
        ),
    ),
    (
        "bucket",
        (
            _Row("bytes", lambda _, need: need.bucket_bytes, format_bytes),
            _Row("reads, a day", lambda _, need: need.bucket_reads),
            _Row("writes, a day", lambda _, need: need.bucket_writes),
            _Row("lists, a day", lambda _, need: need.bucket_lists),
        ),
    ),
    (
        "traffic",
        (
            _Row("CDN to clients, a day", lambda _, need: need.cdn_egress_bytes, format_bytes),
            _Row("nodes to CDN, a day", lambda _, need: need.node_egress_bytes, format_bytes),
            _Row(
                "nodes to CDN, a second in the busiest hour",
                lambda _, need: need.peak_node_egress_bytes,
                _bits_per_second,
            ),
            _Row("sources to nodes, a day", lambda _, need: need.fetched_bytes, format_bytes),
        ),
    ),
    (
        "the first time, with empty caches",
        (
            _Row("renders, if all is asked for", lambda _, need: need.first_renders),
            _Row("hours of one core", lambda _, need: need.first_core_hours),
        ),
    ),
)


def make_table(columns: Sequence[tuple[Site, Capacity]], machines: Machines) -> Iterator[str]:
    """The lines of the table. Those that are about a bucket need one."""
    rows: list[tuple[str, Sequence[str]]] = []
    has_bucket = any(site.bucket for site, _ in columns)
    for title, section in _SECTIONS:
        if title == "bucket" and not has_bucket:
            continue
        rows.append((title, ()))
        for row in section:
            cells = [row.format(row.value(site, need)) for site, need in columns]
            rows.append((f"  {row.label}", cells))
    costs = [need.cost for _, need in columns if need.cost is not None]
    if costs:
        rows += [("cost", ()), ("  30 days", [f"{cost:,.2f}" for cost in costs])]
    label_width = max(len(label) for label, _ in rows)
    width = max(len(cell) for _, values in rows for cell in values)
    for label, values in rows:
        yield f"{label:<{label_width}}{''.join(f'  {cell:>{width}}' for cell in values)}".rstrip()
    yield (
        f"\nNodes have {machines.cores} cores, {format_bytes(machines.disk_bytes)} of disk and "
        f"{_bits_per_second(machines.network_bytes_per_second)}/s. "
        "All other numbers are options: framekeep capacity --help"
    )
