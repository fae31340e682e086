"""The IPX dialect: modifiers, sources, and the lists that bound its links."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from links.ipx_fixture import OPEN, SOURCE, context, dialect, meaning, native, parse

from proxy.errors import ConfigError, InvalidLink, InvalidSource, RequestError
from proxy.links.ipx import IpxDialect
from proxy.links.ipx.modifiers import ALIASES, MODIFIERS, SIZE_MODIFIERS, UNSUPPORTED
from proxy.links.ipx.values import MODIFIER_POSITIONS

# Modifiers.


@pytest.mark.parametrize(
    ("modifiers", "steps"),
    [
        ("_", ""),
        ("w_300", "resize:300::inside"),
        ("width_300", "resize:300::inside"),
        ("h_200,enlarge", "resize::200"),
        ("w_300&h_200", "resize:300::inside"),
        ("w_undefined,h_200", "resize::200:inside"),
        ("w_300,fit_contain,pos_top", "resize:300::inside"),
        ("s_300x200", "scale_to_box:300:200"),
        ("s_300", "scale_to_box:300:300"),
        ("resize:300x200", "scale_to_box:300:200"),
        ("s=300x200&pos=top", "scale_to_box:300:200:cover:north"),
        ("s_300x200,position_right%20top", "scale_to_box:300:200:cover:northeast"),
        ("s_300x200,pos_attention", "scale_to_box:300:200:cover:smart"),
        ("s_300x200,enlarge", "resize:300:200"),
        ("s_300x200,enlarge,fit_fill", "resize:300:200:fill"),
        ("s_300x200,enlarge,fit_inside", "scale_to_box:300:200:inside:center:000000:true"),
        ("s_300x200,fit_outside", "scale_to_box:300:200:outside"),
        ("s_300x200,fit_contain,b_f80", "scale_to_box:300:200:contain:center:FF8800"),
        ("s_300x200,fit_contain,enlarge,b_red", "resize:300:200:contain:center:FF0000"),
        ("s_300x200,fit_contain,b_000", "scale_to_box:300:200:contain"),
        (
            "s_300x200,fit_contain,pos_left,b_transparent",
            "scale_to_box:300:200:contain:west:transparent",
        ),
        ("s_9x9,kernel_lanczos3", "scale_to_box:9:9"),
        ("f_jpg,q_80", "convert:jpeg:80"),
        ("q_80", "quality:80"),
        ("f_webp", "limit:::1/convert:webp"),
        ("f_webp,animated", "convert:webp"),
        ("a_true,f_gif", "convert:gif"),
        ("f_auto,q_70", "limit:::1/convert:auto/quality:70"),
        ("flip,flop", "flip/flop"),
        # sharp turns first where rotate was sorted before the size.
        ("rotate_90,w_300", "rotate:90/resize:300::inside"),
        ("rotate_90,flip,s_30x20", "flip/rotate:90/scale_to_box:30:20"),
        ("rotate_90,h_300", "resize::300:inside/rotate:90/crop_to:0:300"),
        ("rotate_180,h_300", "resize::300:inside/rotate:180"),
        ("rotate_-90", "rotate:270"),
        ("rotate_360,w_300", "resize:300::inside"),
        ("rotate_45,b_fff", "rotate:45:FFFFFF"),
        ("rotate_90,trim_5", "rotate:90/trim:5"),
        ("rotate_90,crop_1_2_30_40", "crop:1:2:30:40/rotate:90"),
        ("extract_1_2_30_40,w_10,flip", "crop:1:2:30:40/flip/resize:10::inside"),
        ("trim", "trim"),
        ("extend_1_2_3_4", "extend:1:3:4:2"),
        ("extend_1__3,b_ff0000", "extend:1:3:0:0:FF0000"),
        ("flatten", "remove_transparency:000000"),
        ("flatten,b_ffffff", "remove_transparency"),
        ("gamma_2", "gamma:0.5/gamma:2"),
        ("gamma_2_1,w_30", "gamma:0.5/resize:30::inside"),
        ("grayscale,median_5,threshold_100", "grayscale/denoise:5/threshold:100"),
        ("median,threshold", "denoise/threshold:128"),
        ("blur_5,sharpen_1.5", "blur:5/sharpen:1.5"),
        ("blur,sharpen", "blur:0.8/sharpen"),
        ("modulate_1.2_0.5_90", "modulate:1.2:0.5:90"),
        ("modulate_1_0", "modulate::0"),
        ("brightness_2,hue_30", "modulate:2::30"),
        ("normalize,negate,tint_704214", "auto_contrast/tint:704214/invert_colors"),
        ("opacity_0.5", "opacity:50"),
        ("autoorient,w_5", "resize:5::inside"),
    ],
)
def test_modifiers_mean_these_operations(modifiers: str, steps: str) -> None:
    assert meaning(modifiers) == steps


@pytest.mark.parametrize(
    ("modifiers", "message"),
    [
        ("", "invalid link"),
        ("w_300,", "one is empty"),
        ("w_abc", "w: must be a whole number from 1 to 16384, not 'abc'"),
        ("w", "w: needs a value"),
        ("w_0", "w: must be a whole number"),
        ("w_99999", "w: must be a whole number"),
        ("w_3_4", "w: takes 1 values"),
        ("s_300x200,w_5", "says two sizes"),
        ("resize_30x20,rotate_90", "with rotate, write s"),
        ("s_300x", "s: height: must be"),
        ("fit_stretch", "fit: must be one of cover, contain, fill, inside, outside"),
        ("pos_middle", "pos: must be one of center"),
        ("b_ff", "b: 'ff' is not a color"),
        ("b_ff000080", "colors are opaque"),
        ("f_tiff", "f: the format 'tiff' cannot be written"),
        ("f_bmp", "f: the format 'bmp' is unknown"),
        ("q_101", "q: must be a whole number from 1 to 100"),
        ("kernel_nearest", "kernel: only lanczos3"),
        ("flip_false", "flip: takes no value"),
        ("crop_1_2_3", "crop: takes 4 values"),
        ("extend_1_1_1_1_mirror", "extend: only background"),
        ("sharpen_1_2", "sharpen: takes only sigma"),
        ("blur_500", "blur: must be a number from 0.3 to 100"),
        ("modulate_1_1_1_5", "modulate: lightness"),
        ("normalize_5_95", "normalize: takes no values"),
        ("opacity_0.5,b_fff", "opacity: with background"),
        ("tint_transparent", "tint: must be an opaque color"),
        ("linear_1", "linear: is not possible here: use brightness"),
        ("frobnicate_1", "there is no modifier 'frobnicate'; modifiers: width"),
        ("w_%zz", "percent-encoding"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(modifiers: str, message: str) -> None:
    with pytest.raises(InvalidLink) as raised:
        meaning(modifiers)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_modifier_that_is_not_offered_has_a_reason(name: str) -> None:
    with pytest.raises(InvalidLink, match=f"{name}: is not possible here: "):
        meaning(f"{name}_1", allow_modifiers=())


@pytest.mark.parametrize(("short", "long"), ALIASES.items())
def test_short_and_long_names_mean_the_same(short: str, long: str) -> None:
    values = {
        "width": "9", "height": "9", "resize": "9x8", "quality": "9", "format": "png",
        "background": "fff,flatten", "position": "top,s_9x9", "extract": "1_2_3_4", "animated": "",
    }  # fmt: skip
    assert meaning(f"{short}_{values[long]}") == meaning(f"{long}_{values[long]}")


def test_every_position_of_sharp_is_known() -> None:
    for text, position in MODIFIER_POSITIONS.items():
        wanted = "" if position == "center" else f":cover:{position}"
        assert meaning(f"s_9x9,pos_{text.replace(' ', '%20')}") == f"scale_to_box:9:9{wanted}"


OPTIONS: dict[str, Any] = {
    "width": st.integers(1, 4096),
    "quality": st.integers(1, 100),
    "format": st.sampled_from(["jpeg", "png", "webp", "avif", "gif", "heif", "auto"]),
    "fit": st.sampled_from(["cover", "contain", "fill", "inside", "outside"]),
    "position": st.sampled_from([text for text in MODIFIER_POSITIONS if " " not in text]),
    "background": st.sampled_from(["fff", "ff8800", "navy", "transparent"]),
    "rotate": st.integers(-360, 360),
    "blur": st.sampled_from(["0.3", "5", "99.5"]),
    "sharpen": st.sampled_from(["0.01", "3"]),
    "median": st.integers(1, 15),
    "gamma": st.sampled_from(["1", "2.2", "3", "2_1.5"]),
    "threshold": st.integers(0, 255),
    "trim": st.integers(0, 255),
    "extract": st.sampled_from(["0_0_10_10", "3_4_5_6"]),
    "extend": st.sampled_from(["1_2_3_4", "0_0_9_9"]),
    "modulate": st.sampled_from(["1.5", "0.5_2", "1_1_180"]),
    "tint": st.sampled_from(["red", "704214"]),
}
FLAGS = ("flip", "flop", "flatten", "grayscale", "normalize", "negate", "enlarge", "animated")


@given(
    st.fixed_dictionaries({}, optional=OPTIONS),
    st.sets(st.sampled_from(FLAGS)),
    st.sampled_from(",&"),
    st.sampled_from("_:="),
    st.randoms(use_true_random=False),
)
def test_the_order_and_the_separators_of_modifiers_do_not_count(
    values: dict[str, Any], flags: set[str], between: str, inside: str, random: Any
) -> None:
    texts = [*(f"{name}_{value}" for name, value in values.items()), *sorted(flags)]
    expected = parse(f"/{','.join(texts) or '_'}/img/a.jpg")
    random.shuffle(texts)
    written = between.join(text.replace("_", inside) for text in texts) or "_"
    request = parse(f"/{written}/img/a.jpg")
    assert request == expected
    assert native().parse(native().build(request).encode()).key == request.key


@given(st.text(st.sampled_from("wshfq_,&=:x019.%/?#a"), max_size=40))
def test_any_text_is_a_request_or_an_error_of_the_caller(text: str) -> None:
    with suppress(RequestError):
        parse(f"/{text}")


# Sources.


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("img/a.jpg", SOURCE),
        ("/img/a.jpg", SOURCE),
        ("img/a%20b%C3%A9.jpg", "media:img/a bé.jpg"),
        ("https://images.example/a.jpg", "https://images.example/a.jpg"),
        ("https:/images.example/a.jpg", "https://images.example/a.jpg"),
        ("HTTPS://Images.Example/A.jpg", "https://images.example/A.jpg"),
        ("https%3A%2F%2Fimages.example%2Fa.jpg", "https://images.example/a.jpg"),
        ("https://images.example/a.jpg?v=2&w=3", "https://images.example/a.jpg?v=2&w=3"),
        ("https://images.example/a.jpg%3Fv=2", "https://images.example/a.jpg?v=2"),
        ("https://images.example/a%2520b.jpg", "https://images.example/a%20b.jpg"),
        ("https://images.example/a%20b%C3%A9.jpg", "https://images.example/a%20b%C3%A9.jpg"),
        ("https://images.example/a.jpg%23top", "https://images.example/a.jpg"),
        ("https://images.example/100%25.jpg", "https://images.example/100%25.jpg"),
    ],
)
def test_a_source_is_a_path_below_the_base_or_a_url(written: str, source: str) -> None:
    assert getattr(parse(f"/_/{written}").source, "text", "") == source


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("https://evil.example/a.jpg", "is not allowed (FRAMEKEEP_IPX_ALLOW_SOURCES)"),
        ("https://images.example.evil.example/a.jpg", "is not allowed"),
        ("https://images.example@evil.example/a.jpg", "is not a host"),
        ("https://evil.example%3Fimages.example/a.jpg", "is not a host"),
        ("https://evil.example%23images.example/a.jpg", "is not a host"),
        ("https://evil.example%5Cimages.example/a.jpg", "is not a host"),
        ("https:///images.example/a.jpg", "is not a host"),
        ("https:////images.example/a.jpg", "is not a host"),
        ("ftp://images.example/a.jpg", "is not allowed"),
        ("img/../secret.jpg", "must not have backslashes, or . or .. as a part"),
        ("img/%2e%2e/secret.jpg", "must not have backslashes"),
        ("img/%252e%252e/secret.jpg", "must not have backslashes"),
        ("img%5C..%5Csecret.jpg", "must not have backslashes"),
        ("https://images.example/a/%2e%2e/b.jpg", "must not have backslashes"),
        ("img/a.jpg?v=2", "a local source has no query string"),
    ],
)
def test_a_source_outside_of_the_list_is_refused(written: str, message: str) -> None:
    with pytest.raises((InvalidSource, InvalidLink)) as raised:
        parse(f"/w_300/{written}")
    assert message in str(raised.value)


def test_local_sources_need_a_base() -> None:
    with pytest.raises(InvalidSource, match="FRAMEKEEP_IPX_BASE_URL"):
        parse("/_/img/a.jpg", base_url="")


def test_a_base_may_be_a_url_and_prefixes_are_the_aliases_of_ipx() -> None:
    config = {
        "base_url": "https://www.example/public",
        "source_prefixes": {"/photos/": "https://photos.example/", "/": "media:"},
    }
    for written, source in {
        "img/a b?.jpg": "https://www.example/public/img/a%20b?.jpg",
        "photos/a.jpg": "https://photos.example/a.jpg",
    }.items():
        assert getattr(parse(f"/_/{written}", **config).source, "text", "") == source


# Bounds.


def test_without_a_list_of_sources_it_does_not_start() -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_IPX_ALLOW_SOURCES is not set"):
        IpxDialect(context())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"allow_sources": ("https://images.example",)}, "a slash after it"),
        ({"allow_modifiers": ("width",)}, "sizes, qualities and formats have lists of their own"),
        ({"allow_modifiers": ("w_300",)}, "ALLOW_MODIFIERS: 'w_300'"),
        ({"allow_widths": (5000,)}, "MAX_SIDE: 4096 is less than 5000"),
        ({"allow_modifiers": ("blur",), "max_renditions": 9}, "have no bound"),
        ({"allow_modifiers": (), "max_renditions": 10_000_000}, "more than 10,000,000"),
        ({"base_url": "nowhere:"}, "FRAMEKEEP_IPX_BASE_URL"),
    ],
)
def test_settings_that_leave_it_open_stop_the_start(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        dialect(**config)
    assert message in str(raised.value)


CLOSED = {
    "allow_widths": (320, 640),
    "allow_heights": (200,),
    "max_side": 700,
    "allow_qualities": (80,),
    "allow_formats": ("webp", "auto"),
    "allow_modifiers": ("fit", "blur_5", "blur_10", "b_fff"),
    "max_renditions": 10_000,
}


@pytest.mark.parametrize(
    ("modifiers", "setting"),
    [
        ("w_300", "FRAMEKEEP_IPX_ALLOW_WIDTHS"),
        ("s_320x100", "FRAMEKEEP_IPX_ALLOW_HEIGHTS"),
        ("s_100x200", "FRAMEKEEP_IPX_ALLOW_WIDTHS"),
        ("w_701", "FRAMEKEEP_IPX_MAX_SIDE"),
        ("q_81", "FRAMEKEEP_IPX_ALLOW_QUALITIES"),
        ("f_png", "FRAMEKEEP_IPX_ALLOW_FORMATS"),
        ("blur_6", "FRAMEKEEP_IPX_ALLOW_MODIFIERS"),
        ("flip", "FRAMEKEEP_IPX_ALLOW_MODIFIERS"),
        ("b_000", "FRAMEKEEP_IPX_ALLOW_MODIFIERS"),
    ],
)
def test_what_is_in_no_list_is_refused_with_the_setting(modifiers: str, setting: str) -> None:
    with pytest.raises(InvalidLink, match=setting):
        meaning(modifiers, **CLOSED)


def test_what_the_lists_have_is_allowed() -> None:
    text = "w_320,q_80,f_webp,blur_10,fit_inside,background_fff"
    assert meaning(text, **CLOSED).startswith("limit:::1/resize:320")
    with pytest.raises(InvalidLink, match="extend: must be at most 700"):
        meaning("extend_701", **{**CLOSED, "allow_modifiers": ("extend",), "max_renditions": 0})


def test_the_number_of_renditions_is_that_of_the_lists() -> None:
    # none or 2 widths, none or 1 height, none or 1 quality; no format, webp, 4 of auto; 5 fits;
    # no blur or 2; no background or 1
    assert 3 * 2 * 2 * 6 * 5 * 3 * 2 == 2160
    lines = list(dialect(**CLOSED).describe_bounds())
    assert "widths: 320, 640" in lines
    assert "renditions of one source: at most 2,160" in lines
    assert "renditions of one source: no bound" in list(dialect().describe_bounds())
    with pytest.raises(ConfigError, match="allow 2,160 renditions of one source, more than 2,159"):
        dialect(**{**CLOSED, "max_renditions": 2159})


def test_every_modifier_is_allowed_by_its_list_only() -> None:
    assert not set(SIZE_MODIFIERS) & set(MODIFIERS)
    for name in MODIFIERS:
        with pytest.raises(InvalidLink):
            meaning(f"{name}_?", **{**OPEN, "allow_modifiers": ()})


def test_ipx_links_are_built_by_others() -> None:
    with pytest.raises(InvalidLink, match="Nuxt Image"):
        dialect().build(parse("/_/img/a.jpg"))
