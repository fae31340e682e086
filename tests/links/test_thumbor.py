"""The thumbor and imagor dialects: signatures, grammar, sources, filters, errors."""

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libthumbor import CryptoURL
from links.thumbor_fixture import KEY, URL, imagor, meaning, native, parse_unsigned, sign, thumbor

from proxy.errors import (
    ConfigError,
    InvalidLink,
    InvalidSignature,
    InvalidSource,
    LinkExpired,
    ProxyError,
)
from proxy.image_request import InfoRequest
from proxy.links.thumbor.filters import THUMBOR_FILTERS
from proxy.links.thumbor.imagor_filters import IMAGOR_FILTERS
from proxy.originals import SourceRef

# Signatures.


def test_any_key_verifies() -> None:
    rotating = thumbor(keys=("old", "new"))
    for key in ("old", "new"):
        assert rotating.parse(sign(f"10x10/{URL}", key).encode()).source == SourceRef(URL)
    with pytest.raises(InvalidSignature, match="signature mismatch"):
        rotating.parse(sign(f"10x10/{URL}", "other").encode())


def test_unsigned_links_are_refused_unless_they_are_allowed() -> None:
    with pytest.raises(InvalidSignature, match="THUMBOR_ALLOW_UNSIGNED"):
        thumbor(keys=(KEY,)).parse(f"/unsafe/10x10/{URL}".encode())
    both = thumbor(keys=(KEY,), allow_unsigned=True)
    assert both.parse(f"/unsafe/10x10/{URL}".encode()).source == SourceRef(URL)
    with pytest.raises(InvalidSignature, match="mismatch"):
        both.parse(sign(f"10x10/{URL}", "other").encode())


@pytest.mark.parametrize("dialect", [thumbor, imagor], ids=["thumbor", "imagor"])
def test_without_a_key_nothing_starts(dialect: Any) -> None:
    with pytest.raises(ConfigError, match=r"_KEYS is not set.*_ALLOW_UNSIGNED=true"):
        dialect()


def test_the_padding_may_be_escaped() -> None:
    path = sign(f"10x10/{URL}").replace("=", "%3D")
    assert thumbor(keys=(KEY,)).parse(path.encode()).source == SourceRef(URL)


def test_merged_slashes_of_the_source_are_restored() -> None:
    path = sign(f"10x10/{URL}").replace("https://", "https:/")
    assert thumbor(keys=(KEY,)).parse(path.encode()).source == SourceRef(URL)
    assert parse_unsigned("10x10/https:/images.example/photo.jpg").source == SourceRef(URL)


@pytest.mark.parametrize(
    ("algorithm", "length"), [("sha1", 0), ("sha256", 40), ("sha512", 16), ("sha256", 88)]
)
def test_imagor_signs_with_other_hashes_and_cuts_signatures(algorithm: str, length: int) -> None:
    path = sign(f"10x10/{URL}", algorithm=algorithm, length=length or None)
    rules: dict[str, Any] = {"signature_algorithm": algorithm, "signature_length": length}
    assert imagor(keys=(KEY,), **rules).parse(path.encode()).source == SourceRef(URL)
    with pytest.raises(InvalidSignature):
        imagor(keys=(KEY,), signature_algorithm="sha1", signature_length=20).parse(path.encode())


@given(st.integers(0, 200), st.sampled_from("aZ0-_/:%"))
def test_a_changed_path_does_not_verify(at: int, character: str) -> None:
    signed = sign(f"300x200/smart/filters:quality(80)/{URL}")
    at %= len(signed)
    changed = signed[:at] + character + signed[at + 1 :]
    if changed != signed:
        with pytest.raises((InvalidSignature, InvalidLink)):
            thumbor(keys=(KEY,)).parse(changed.encode())


# Grammar.


def test_the_first_segment_that_fits_no_part_begins_the_source() -> None:
    assert parse_unsigned("smart/300x200/a.jpg").source == SourceRef("http://300x200/a.jpg")
    assert parse_unsigned("fit-in/meta/a.jpg").source == SourceRef("http://meta/a.jpg")
    assert parse_unsigned("300x200").source == SourceRef("http://300x200")


@pytest.mark.parametrize(
    ("parts", "steps"),
    [
        ("300x200", "resize:300:200"),
        ("0x0", ""),
        ("x", ""),
        ("300x", "resize:300"),
        ("-x200", "resize::200/flop"),
        ("origxorig", "fit_box:original:original"),
        ("fit-in/origx100", "fit_box:original:100:inside:false:false"),
        ("300x200/left/bottom", "resize:300:200:cover:southwest"),
        ("trim", "trim:0::false:false:northwest:euclidean"),
        ("trim:30", "trim:30::false:false:northwest:euclidean"),
        ("0x0:0x0/10x10", "resize:10:10"),
        ("10x10:90x90/filters:focal(20x30:40x50)", "crop_region:10:10:90:90"),
        (
            "10x10:90x90/9x7/filters:focal(20x30:40x50)",
            "crop_region:10:10:90:90/fit_box:9:7:cover:false:true:center:10x20x30x40",
        ),
        ("fit-in/30x20/filters:upscale()", "fit_box:30:20:inside"),
        ("30x/filters:no_upscale()", "resize:30::inside"),
        ("30x20/filters:stretch():no_upscale()", "fit_box:30:20:fill:false:false"),
        ("fit-in/30x20/filters:quality(80):format(webp)", "resize:30:20:inside/convert:webp:80"),
        ("filters:blur(4):grayscale()", "blur:2.38/grayscale"),
        (
            "fit-in/9x7/filters:background_color(F80):fill(navy)",
            "resize:9:7:inside/remove_transparency:FF8800/canvas:9:7:false:center:0:0:000080",
        ),
    ],
)
def test_parts_mean_these_steps(parts: str, steps: str) -> None:
    assert meaning(parts) == steps


@pytest.mark.parametrize(
    ("parts", "steps"),
    [
        ("stretch/30x20", "resize:30:20:fill"),
        ("0.1x0.2:0.5x1", "crop_region:0.1:0.2:0.5:1:true"),
        ("30x20/3x2", "resize:30:20/extend:2:2:3:3:transparent"),
        ("30x20/filters:rotate(90)", "resize:30:20/rotate:90"),
        ("30x20/filters:blur(0,2)", "resize:30:20/blur:2"),
        (
            "30x20/filters:watermark(a.test/x(1).png,0,0):grayscale()",
            "resize:30:20/watermark:https%3A%2F%2Fa.test%2Fx%281%29.png:northwest/grayscale",
        ),
    ],
)
def test_parts_of_imagor_mean_these_steps(parts: str, steps: str) -> None:
    assert meaning(parts, is_imagor=True) == steps


def test_a_value_in_quotes_may_have_commas() -> None:
    steps = meaning("30x20/filters:watermark('http://a.test/x,y.png',1,2,0)")
    assert steps == "resize:30:20/watermark:http%3A%2F%2Fa.test%2Fx%2Cy.png:northwest:1:2"


def test_meta_asks_for_a_description() -> None:
    request = parse_unsigned(f"meta/300x200/{URL}")
    assert request.info == InfoRequest(plan=parse_unsigned(f"300x200/{URL}").plan)
    assert parse_unsigned(f"meta/300x200/{URL}", is_imagor=True).info == InfoRequest()


def test_max_age_bounds_the_time_in_caches_and_not_the_key() -> None:
    request = parse_unsigned(f"30x20/filters:max_age(60)/{URL}")
    assert request.response_options.max_age == 60
    assert request.key == parse_unsigned(f"30x20/{URL}").key


def test_an_expired_link_is_refused() -> None:
    request = parse_unsigned(f"filters:expire(1000001)/{URL}", is_imagor=True)
    assert request.response_options.expires == 1001
    with pytest.raises(LinkExpired, match="1970-01-01 00:16:40"):
        parse_unsigned(f"filters:expire(1000000)/{URL}", is_imagor=True)


# Sources.


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("images.example/a.jpg", "http://images.example/a.jpg"),
        ("//images.example/a.jpg", "http://images.example/a.jpg"),
        (
            "https%3A%2F%2Fimages.example%2Fa%20b.jpg%3Fx%3D1",
            "https://images.example/a%20b.jpg?x=1",
        ),
        ("HTTPS://images.example/a.jpg", "https://images.example/a.jpg"),
        ("images.example:8080/a.jpg", "http://images.example:8080/a.jpg"),
        ("https://images.example/a.jpg?lost=1", "https://images.example/a.jpg"),
    ],
)
def test_a_source_without_a_scheme_gets_one(text: str, source: str) -> None:
    assert parse_unsigned(f"10x10/{text}").source == SourceRef(source)


def test_sources_follow_the_rules_of_the_settings() -> None:
    rules = {"source_prefixes": {"s3://photos/": "photos:"}, "allow_unsigned": True}
    dialect = thumbor(["photos", "secret"], **rules)
    assert dialect.parse(b"/unsafe/s3://photos/a.jpg").source == SourceRef("photos:a.jpg")
    assert dialect.parse(b"/unsafe/photos:a.jpg").source == SourceRef("photos:a.jpg")
    for refused in (b"/unsafe/secret:a.jpg", b"/unsafe/s3://other/a.jpg"):
        with pytest.raises(InvalidSource, match="THUMBOR_SOURCE_PREFIXES"):
            dialect.parse(refused)
    local = thumbor(["media"], base_url="media:", allow_unsigned=True)
    assert local.parse(b"/unsafe/10x10/users/42.jpg").source == SourceRef("media:users/42.jpg")
    only = thumbor(allow_sources=("https://images.example/",), allow_unsigned=True)
    assert only.parse(f"/unsafe/{URL}".encode()).source == SourceRef(URL)
    with pytest.raises(InvalidSource, match="THUMBOR_ALLOW_SOURCES"):
        only.parse(b"/unsafe/https://evil.example/a.jpg")


def test_the_rules_hold_for_watermarks_too() -> None:
    only = thumbor(allow_sources=("https://images.example/",), allow_unsigned=True)
    with pytest.raises(InvalidSource, match="THUMBOR_ALLOW_SOURCES"):
        only.parse(f"/unsafe/filters:watermark(evil.example/a.png,0,0,0)/{URL}".encode())


def test_imagor_reads_base64() -> None:
    path = "b64:aHR0cHM6Ly9leGFtcGxlLmNvbS9pbWFnZS5qcGc_c2l6ZT1sYXJnZQ"
    source = parse_unsigned(f"10x10/{path}", is_imagor=True).source
    assert source == SourceRef("https://example.com/image.jpg?size=large")
    for wrong in ("b64:_w", "b64:a b", "b64:a"):
        with pytest.raises(InvalidSource, match="b64"):
            parse_unsigned(wrong, is_imagor=True)


# Errors.


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("filters:sepia()", "'sepia' is unknown"),
        ("filters:grayscal()", "did you mean grayscale?"),
        ("filters:quality(101)", "filters: quality: must be a whole number from 0 to 100"),
        ("filters:quality()", "quality: takes 1 values, not 0"),
        ("filters:blur(151)", "blur: radius: must be a whole number from 0 to 150"),
        ("filters:rotate(45)", "rotate: must be a multiple of 90"),
        ("filters:fill(bleu)", "fill: 'bleu' is not a color"),
        ("filters:format(tiff)", "format: must be one of jpeg"),
        ("filters:noise(10)", "noise: noise is not possible"),
        ("filters:focal(1x2:0x9)", "focal: right and bottom"),
        ("filters:grayscale", "they end with"),
        ("filters:gray scale()", "is not NAME"),
        ("debug/10x10", "debug: focal regions are not drawn"),
        ("20000x10", "size: width must be at most 16384, not 20000"),
        ("filters:" + ":".join(["grayscale()"] * 31), "at most 30, not 31"),
    ],
)
def test_an_error_names_the_part_and_the_reason(parts: str, message: str) -> None:
    with pytest.raises(InvalidLink, match=re.escape(message)):
        parse_unsigned(f"{parts}/{URL}")


def test_filters_can_be_skipped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    parts = "30x20/filters:sepia():noise(10):quality(999):grayscale()"
    assert meaning(parts, skip_unknown_filters=True) == "resize:30:20/grayscale"
    assert [record.getMessage().split(": ", 2)[:2] for record in caplog.records] == [
        ["filter skipped", "filters"]
    ] * 3


def test_uploads_and_other_routes_are_refused_with_a_sentence() -> None:
    for path in (b"/image", b"/blacklist", b"/"):
        with pytest.raises(InvalidLink, match="uploads are sent to the source"):
            thumbor(allow_unsigned=True).parse(path)


@pytest.mark.parametrize("filters", [THUMBOR_FILTERS, IMAGOR_FILTERS], ids=["thumbor", "imagor"])
@given(data=st.data())
def test_any_values_of_a_filter_are_a_plan_or_an_error(filters: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(filters)))
    value = st.text("0123456789.-px|:abcnrtue #", max_size=8)
    args = ",".join(data.draw(st.lists(value, max_size=6)))
    request = None
    with contextlib.suppress(ProxyError):  # nothing else may be raised
        request = parse_unsigned(
            f"30x20/filters:{name}({args})/{URL}", is_imagor=filters is IMAGOR_FILTERS
        )
    if request is not None:
        assert native().parse(native().build(request).encode()).key == request.key


# What libthumbor builds.

SIDES = st.integers(0, 5000)
OPTIONS = st.fixed_dictionaries(
    {"width": SIDES, "height": SIDES},
    optional={
        "flip": st.booleans(),
        "flop": st.booleans(),
        "smart": st.booleans(),
        "halign": st.sampled_from(["left", "center", "right"]),
        "valign": st.sampled_from(["top", "middle", "bottom"]),
        "crop": st.tuples(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES)),
        "filters": st.lists(st.sampled_from(["grayscale()", "quality(80)"]), max_size=2),
    },
)


@given(OPTIONS, st.sampled_from(["", "fit_in", "full_fit_in", "adaptive_fit_in"]))
def test_a_link_of_libthumbor_means_the_plan_that_its_options_name(
    options: dict[str, Any], fit: str
) -> None:
    width, height = options["width"], options["height"]
    if fit and not width and not height:
        return
    path = CryptoURL(key=KEY).generate(image_url=URL, **options, **({fit: True} if fit else {}))
    request = thumbor(keys=(KEY,)).parse(path.encode())
    assert request.source == SourceRef(URL)
    plan = {type(step).__name__: step for step in request.plan}
    assert ("CropRegion" in plan) == any(map(sum, options.get("crop", ())))
    assert ("Flop" in plan) == options.get("flip", False)
    assert ("Flip" in plan) == options.get("flop", False)
    assert ("Grayscale" in plan) == ("grayscale()" in options.get("filters", ()))
    resized: Any = plan.get("Resize") or plan.get("FitBox")
    assert (resized is not None) == bool(width or height)
    if resized is not None:
        assert (resized.width_in_px, resized.height_in_px) == (width or None, height or None)
        smart = options.get("smart", False) and bool(width and height)
        if not fit:
            assert (resized.position == "smart") == smart
        else:
            assert resized.fit == ("outside" if fit == "full_fit_in" else "inside")
