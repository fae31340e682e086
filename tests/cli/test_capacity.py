"""What a site needs follows from its numbers; more of anything never needs less."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli import capacity
from proxy.cli.capacity_model import Capacity, Figures, Machines, Prices, Site, calculate
from proxy.cli.capacity_table import format_bytes, format_number, make_table
from proxy.cli.parser import make_parser
from proxy.errors import ConfigError

SHARES = st.floats(0, 1)
COUNTS = st.floats(1, 1e12)

SITES = st.builds(
    Site,
    requests_per_day=COUNTS,
    hit_ratio=SHARES,
    cache_hit_ratio=SHARES,
    bucket=st.just(True),
    bucket_hit_ratio=SHARES,
    original_hit_ratio=SHARES,
    peak_factor=st.floats(1, 24),
    sources=COUNTS,
    renditions_per_source=st.floats(0, 1000),
    originals_on_disk=SHARES,
    optimized=SHARES,
)


def need(site: Site, figures: Figures | None = None) -> Capacity:
    return calculate(site, Machines(), figures or Figures(), Prices(core_hour=1, cdn_egress_gb=1))


def assert_needs_no_less(more: Capacity, less: Capacity) -> None:
    for name in Capacity.__struct_fields__:
        assert getattr(more, name) >= getattr(less, name), name


@given(SITES, st.floats(1, 1000))
def test_more_requests_and_sources_never_need_less(site: Site, factor: float) -> None:
    more = msgspec.structs.replace(
        site,
        requests_per_day=site.requests_per_day * factor,
        sources=site.sources * factor,
    )
    assert_needs_no_less(need(more), need(site))


@pytest.mark.parametrize("ratio", ["hit_ratio", "cache_hit_ratio", "original_hit_ratio"])
@given(site=SITES, other=SHARES)
def test_a_better_hit_ratio_never_needs_more_renders_or_fetches(
    site: Site, other: float, ratio: str
) -> None:
    low, high = sorted((getattr(site, ratio), other))
    worse, better = (need(msgspec.structs.replace(site, **{ratio: share})) for share in (low, high))
    assert worse.renders >= better.renders
    assert worse.fetches >= better.fetches
    assert worse.render_cores >= better.render_cores


@pytest.mark.parametrize("ratio", ["hit_ratio", "cache_hit_ratio", "bucket_hit_ratio"])
@given(site=SITES)
def test_where_everything_is_a_hit_nothing_is_rendered(site: Site, ratio: str) -> None:
    needed = need(msgspec.structs.replace(site, **{ratio: 1.0}))
    assert needed.renders == needed.fetches == needed.render_cores == 0
    assert needed.nodes >= 1


@given(SITES)
def test_every_request_that_reaches_a_node_is_counted_once(site: Site) -> None:
    needed = need(site)
    parts = needed.disk_hits + needed.bucket_hits + needed.renders
    assert parts == pytest.approx(needed.origin_requests, rel=1e-9, abs=1e-6)


@given(SITES)
def test_the_nodes_suffice(site: Site) -> None:
    machines = Machines()
    needed = calculate(site, machines, Figures())
    working = needed.nodes - machines.spare_nodes
    assert working * machines.cores >= needed.cores * (1 - 1e-9)
    assert working * machines.disk_bytes >= needed.disk_bytes * (1 - 1e-9)
    busy = (needed.hit_cores + needed.render_cores) / (working * machines.cores)
    assert busy <= (1 - machines.headroom) * (1 + 1e-9)


def test_a_day_by_hand() -> None:
    """A million requests, a tenth of them reach the nodes, a fifth of those are rendered."""
    site = Site(
        requests_per_day=1e6,
        hit_ratio=0.9,
        cache_hit_ratio=0.8,
        original_hit_ratio=0.75,
        peak_factor=2,
        sources=1000,
        renditions_per_source=10,
        originals_on_disk=0.5,
    )
    figures = msgspec.convert(
        {
            "kinds": {"only": {"share": 1, "cpu_ms": 100, "bytes": 20_000}},
            "hit_cpu_ms": 1,
            "original_bytes": 1_000_000,
            "entry_overhead_bytes": 0,
        },
        Figures,
    )
    needed = calculate(site, Machines(headroom=0.5, spare_nodes=2), figures)
    assert needed.origin_requests == pytest.approx(100_000)
    assert needed.renders == pytest.approx(20_000)
    assert needed.fetches == pytest.approx(5_000)
    assert needed.render_cores == pytest.approx(2_000 / 86_400 * 2)
    assert needed.hit_cores == pytest.approx(80 / 86_400 * 2)
    assert needed.cores == pytest.approx(2 * (needed.render_cores + needed.hit_cores))
    assert needed.disk_bytes == pytest.approx(10_000 * 20_000 + 500 * 1_000_000)
    assert needed.node_egress_bytes == pytest.approx(100_000 * 20_000)
    assert needed.fetched_bytes == pytest.approx(5_000 * 1_000_000)
    assert needed.nodes == 3
    assert (needed.bucket_reads, needed.bucket_writes, needed.cost) == (0, 0, None)


def test_optimization_needs_the_day_and_not_the_busiest_hour() -> None:
    busy = Site(requests_per_day=1e8, peak_factor=10)
    optimized = msgspec.structs.replace(busy, optimized=0.25)
    assert need(optimized).cores == need(busy).cores
    even = Site(requests_per_day=1e8, peak_factor=1)
    assert need(msgspec.structs.replace(even, optimized=0.5)).cores > need(even).cores


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    args = make_parser(["capacity"]).parse_args(["capacity", *arguments])
    assert capacity.run(args, {}) == 0
    return capsys.readouterr().out


def test_requests_are_columns_of_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(
        capsys, "--requests-per-day", "1M", "100M", "10G", "--sources", "20k", "2M", "1G"
    )
    rows = {line[:44].strip(): line[44:].split("  ") for line in table.splitlines() if line}
    day = [cell.strip() for cell in rows["at the CDN, a day"] if cell.strip()]
    assert day == ["1 M", "100 M", "10 G"]
    assert "lists, a day" not in table
    assert "cost" not in table


def test_the_bucket_and_the_cost_are_shown_where_they_were_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = printed(capsys, "--bucket", "--bucket-hit-ratio", "0.5", "--price", "core_hour=0.05")
    assert "reads, a day" in table
    # Two nodes of eight cores for thirty days.
    assert f"{2 * 8 * 24 * 30 * 0.05:,.2f}" in table


def test_json_has_the_assumptions_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(
        printed(capsys, "--json", "--requests-per-day", "2M", "--kind", "webp=1:50:20kB")
    )
    (column,) = document["columns"]
    assert column["site"]["requests_per_day"] == 2e6
    assert column["needed"]["renders"] == pytest.approx(20_000)
    assert document["figures"]["kinds"] == {"webp": {"share": 1.0, "cpu_ms": 50.0, "bytes": 20_000}}


def test_measured_figures_are_read_from_a_file_and_options_come_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "measured.json"
    path.write_bytes(msgspec.json.encode(Figures(hit_cpu_ms=7.0, original_bytes=5.0)))
    document = json.loads(
        printed(capsys, "--json", "--figures", str(path), "--original-bytes", "2MB")
    )
    assert document["figures"]["hit_cpu_ms"] == 7
    assert document["figures"]["original_bytes"] == 2_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--requests-per-day", "many"], "--requests-per-day: must be a number from 1 to"),
        (["--requests-per-day", "0"], "--requests-per-day: must be a number from 1 to"),
        (["--hit-ratio", "1.01"], "--hit-ratio: must be a number from 0 to 1, not '1.01'"),
        (["--cores", "1.5"], "--cores: must be a whole number from 1 to 1024, not '1.5'"),
        (["--headroom", "1"], "--headroom: must be a number from 0 to 0.95"),
        (["--disk-bytes", "1XB"], "--disk-bytes: must be a number from 1000000 to"),
        (["--bucket-hit-ratio", "0.5"], "--bucket-hit-ratio: needs a bucket (--bucket)"),
        (["--kind", "avif"], "--kind: must be NAME=SHARE:CPU_MS:BYTES"),
        (["--kind", "avif=1:x:1"], "--kind avif: cpu_ms: must be a number from 0 to 600000"),
        (["--kind", "avif=0.5:1:1"], "--kind: the shares must add up to 1, not 0.5"),
        (["--kind", "a=0.5:1:1", "--kind", "a=0.5:1:1"], "--kind a: is given twice"),
        (["--price", "core=1"], "--price unknown field 'core'"),
        (["--price", "core_hour=-1"], "--price core_hour: must be a number from 0 to 1000000"),
        (["--sources", "1", "2", "--requests-per-day", "1", "2", "3"], "--sources: must be one"),
        (["--sources", *"1234567"], "--sources: must be one number, or one for each column"),
        (["--figures", "/nowhere/figures.json"], "--figures /nowhere/figures.json: No such file"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_option(
    arguments: list[str], message: str
) -> None:
    args = make_parser(["capacity"]).parse_args(["capacity", *arguments])
    with pytest.raises(ConfigError) as error:
        capacity.run(args, {})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be a JSON object: "),
        ("[1]", "must be a JSON object: "),
        ('{"hit_cpu_ms": -1}', "hit_cpu_ms: must be a number from 0 to 600000"),
        ('{"hits_cpu_ms": 1}', "did you mean 'hit_cpu_ms'?"),
        (f'{{"a": "{"a" * 100_000}"}}', "at most 100,000 bytes"),
    ],
)
def test_a_file_of_figures_is_checked(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(content)
    args = make_parser(["capacity"]).parse_args(["capacity", "--figures", str(path)])
    with pytest.raises(ConfigError) as error:
        capacity.run(args, {})
    assert str(error.value).startswith(f"--figures {path}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0001, "< 0.001"),
        (0.01234, "0.0123"),
        (12.34, "12.3"),
        (1234.0, "1,234"),
        (99_999.0, "99,999"),
        (123_456.0, "123 k"),
        (1e6, "1 M"),
        (999_600_000.0, "1 G"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert format_number(value) == text


def test_bytes_have_a_unit() -> None:
    assert [format_bytes(value) for value in (0, 999, 1000, 1.5e12)] == [
        "0 B",
        "999 B",
        "1 kB",
        "1.5 TB",
    ]


@given(SITES)
def test_every_site_has_a_table(site: Site) -> None:
    machines = Machines()
    lines = list(make_table([(site, need(site))], machines))
    assert any(line.startswith("nodes") for line in lines)
