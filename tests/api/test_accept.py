"""Accept headers, in four buckets, or eight where JPEG XL is offered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.accept import accepted_formats
from proxy.cli.warm import accept_headers
from proxy.links.config import LinksConfig


@pytest.mark.parametrize(
    ("accept", "formats"),
    [
        (b"", ()),
        (b"*/*", ()),
        (b"image/*", ()),
        (b"image/webp", ("webp",)),
        (b"image/avif", ("avif",)),
        (b"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", ("avif", "webp")),
        (b"image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.5", ("avif", "webp")),
        (b"image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", ()),
        (b"image/webp,image/avif", ("avif", "webp")),
        (b"IMAGE/WebP ; Q=0.9", ("webp",)),
        (b"image/avif;q=0,image/webp", ("webp",)),
        (b"image/avif;q=0.0, image/webp;q=0.000", ()),
        (b"image/webp;q=0, */*", ()),
        (b"image/avif;q=0.5,image/webp", ("webp",)),
        (b"image/avif,image/webp;q=0.5", ("avif", "webp")),
        (b"image/avif,image/webp;q=0.5,image/*;q=0.7", ("avif",)),
        (b"image/webp;q=0.5,image/jpeg", ()),
        (b"image/webp;q=0.5,image/jpeg;q=0.4", ("webp",)),
        (b"image/webp;q=0.5,image/png;q=0.6,image/jpeg;q=0.1", ()),
        (b"image/webp;q=0.8,image/jpeg;q=0.8", ("webp",)),
        (b"image/webp;q=2", ()),
        (b"image/webp;q=-1", ()),
        (b"image/webp;q=nan", ()),
        (b"image/webp;q=", ()),
        (b"image/webp;charset=utf-8;q=0.4", ("webp",)),
        (b"image/webp;q=0.4,image/webp;q=0.6,image/jpeg;q=0.5", ("webp",)),
        (b"ximage/webp, image/webpx", ()),
        (b"image/webp," + b"x" * 2000, ()),
    ],
)
def test_accepted_formats(accept: bytes, formats: tuple[str, ...]) -> None:
    assert accepted_formats(accept) == formats


@given(st.binary(max_size=80) | st.text("aimgevifwbp/*;q=0.159, ", max_size=80).map(str.encode))
def test_there_are_four_buckets(accept: bytes) -> None:
    assert accepted_formats(accept) in {(), ("avif",), ("webp",), ("avif", "webp")}


WITH_JXL = LinksConfig(auto_jxl=True).auto_formats

SAFARI = (
    b"image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,"
    b"image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
)


@pytest.mark.parametrize(
    ("accept", "formats"),
    [
        (SAFARI, ("jxl", "avif", "webp")),
        (b"image/jxl", ("jxl",)),
        (b"image/jxl;q=0,image/webp", ("webp",)),
        (b"image/jxl;q=0.5,image/avif", ("avif",)),
        (b"image/jxl;q=0.9,image/avif;q=0.9,image/webp;q=0.9", ("jxl", "avif", "webp")),
        (b"image/jxl;q=0.8,image/jpeg", ()),
        (b"image/jxl,image/avif;q=0.5,image/webp;q=0.7", ("jxl", "webp")),
        (b"image/*,*/*", ()),
        (b"image/jxl," + b"x" * 2000, ()),
    ],
)
def test_jpeg_xl_counts_where_it_is_offered_and_named(
    accept: bytes, formats: tuple[str, ...]
) -> None:
    assert accepted_formats(accept, WITH_JXL) == formats


@given(st.text("aimgevifwbpjxl/*;q=0.159, ", max_size=80).map(str.encode) | st.just(SAFARI))
def test_offering_jpeg_xl_changes_no_other_format(accept: bytes) -> None:
    with_jxl = accepted_formats(accept, WITH_JXL)
    assert "jxl" not in accepted_formats(accept)
    assert tuple(format for format in with_jxl if format != "jxl") == accepted_formats(accept)


@pytest.mark.parametrize("config", [LinksConfig(), LinksConfig(auto_jxl=True)])
def test_there_is_a_group_for_each_set_of_formats_that_auto_gives(config: LinksConfig) -> None:
    headers = [accept.encode() for accept in accept_headers(config.auto_formats)]
    groups = {accepted_formats(accept, config.auto_formats) for accept in (*headers, b"*/*")}
    assert len(groups) == len(headers) + 1 == config.accept_groups
    assert accepted_formats(headers[0], config.auto_formats) == config.auto_formats
