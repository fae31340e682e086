"""Client hints choose from the lists of a link: ``resize:{auto,800,320,640}``."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import Signer
from proxy.errors import ProxyError
from proxy.image_request import ImageRequest
from proxy.links.client_hints import ClientHints
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.links.unsigned_config import UnsignedConfig
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

URL = "https://images.example/u/42.jpg"
KEY = "0f" * 16
PRESETS = {"card": "resize:{auto,800,320,640}/dpr:{auto,1,2}"}
WIDTHS = "resize:{auto,800,320,640,1280}"
WIDTH_HEADERS = ("Sec-CH-Width", "Width", "Sec-CH-Viewport-Width", "Viewport-Width")
DPR_HEADERS = ("Sec-CH-DPR", "DPR")

CONTEXT = DialectContext(
    OperationRegistry(OPERATIONS), LinksConfig((KEY,), presets=PRESETS), aliases=("media",)
)
NATIVE = NativeDialect(CONTEXT)

hostile = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        (b"0", b"-640", b"640.5", b"640, 320", b"9999999", b"1e3", b"+640", b"\xff", b"6" * 10_000)
    ),
    st.from_regex(rb"[0-9]{0,9}(\.[0-9]{0,30})?[ ;,]?", fullmatch=True).filter(
        lambda value: not value.isdigit() or int(value) > 999_999 or value.startswith(b"0")
    ),
)


def encode(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {
        name.lower().replace("_", "-").encode(): text.encode() for name, text in headers.items()
    }


def parse(*steps: str, **headers: str) -> ImageRequest:
    return parse_choice(steps, None, headers)


def parse_choice(
    steps: tuple[str, ...], choice: tuple[str, ...] | None, headers: dict[str, str]
) -> ImageRequest:
    link = NATIVE.build_link(URL, steps, choice)
    return NATIVE.parse_with_headers(link.encode(), encode(headers))


def chosen(*steps: str, **headers: str) -> str:
    return parse(*steps, **headers).response_options.hint_choice


def refusal(*steps: str) -> str:
    with pytest.raises(ProxyError) as caught:
        NATIVE.build_link(URL, steps)
    return str(caught.value)


@pytest.mark.parametrize(
    ("headers", "width"),
    [
        ({}, "800"),
        ({"sec_ch_width": "1"}, "320"),
        ({"sec_ch_width": "320"}, "320"),
        ({"sec_ch_width": "321"}, "320"),  # browsers round up
        ({"sec_ch_width": "322"}, "640"),
        ({"sec_ch_width": "641"}, "640"),
        ({"sec_ch_width": "700"}, "800"),
        ({"sec_ch_width": "99999"}, "1280"),
        ({"width": "500"}, "640"),
        ({"sec_ch_width": "300", "width": "500"}, "320"),
        ({"sec_ch_width": "wide", "width": "500"}, "640"),
        ({"sec_ch_dpr": "2"}, "800"),
        ({"sec_ch_viewport_width": "320"}, "320"),
        ({"sec_ch_viewport_width": "321"}, "640"),
        ({"viewport_width": "412", "dpr": "2.625"}, "1280"),
        ({"viewport_width": "412", "sec_ch_width": "100"}, "320"),
    ],
)
def test_the_next_larger_width_of_the_list_is_chosen(headers: dict[str, str], width: str) -> None:
    assert chosen(WIDTHS, **headers) == width
    assert parse(WIDTHS, **headers).key == CONTEXT.make_request(URL, [f"resize:{width}"]).key


@pytest.mark.parametrize(
    ("headers", "choice"),
    [
        ({}, "800:1"),
        ({"sec_ch_dpr": "1"}, "800:1"),
        ({"sec_ch_dpr": "1.1"}, "800:2"),
        ({"sec_ch_dpr": "1.0000000238418579"}, "800:1"),
        ({"dpr": "9"}, "800:3"),
        ({"sec_ch_width": "1280", "sec_ch_dpr": "2"}, "640:2"),
        ({"sec_ch_width": "961", "sec_ch_dpr": "1.5"}, "640:2"),
        ({"sec_ch_width": "1280"}, "1280:1"),
        ({"viewport_width": "320", "dpr": "3"}, "320:3"),
        ({"viewport_width": "320", "dpr": "1.5"}, "320:2"),
    ],
)
def test_width_and_dpr_together_have_the_pixels_that_the_screen_has(
    headers: dict[str, str], choice: str
) -> None:
    assert chosen(WIDTHS, "dpr:{auto,1,2,3}", **headers) == choice


def test_the_width_is_chosen_before_a_fixed_dpr_multiplies_it() -> None:
    request = parse("dpr:2", WIDTHS, sec_ch_width="1280")
    assert request.response_options.hint_choice == "640"
    assert request.key == CONTEXT.make_request(URL, ["resize:1280"]).key


@pytest.mark.parametrize(
    ("headers", "choice"),
    [
        ({"save_data": "on"}, "800:1"),
        ({"save_data": "on", "sec_ch_dpr": "3"}, "800:1"),
        ({"save_data": "on", "sec_ch_width": "1280", "sec_ch_dpr": "2"}, "640:1"),
        ({"save_data": "on", "sec_ch_width": "320", "sec_ch_dpr": "0.5"}, "320:1"),
        ({"save_data": "on", "sec_ch_width": "1280"}, "1280:1"),
        ({"save_data": "on", "viewport_width": "320", "dpr": "3"}, "320:1"),
        ({"save_data": "off", "sec_ch_dpr": "2"}, "800:2"),
        ({"save_data": "", "sec_ch_dpr": "2"}, "800:2"),
        ({"save_data": "ON; x", "sec_ch_dpr": "2"}, "800:1"),
        ({"save_data": "on" + " " * 90, "sec_ch_dpr": "2"}, "800:2"),
    ],
)
def test_with_save_data_the_screen_counts_as_one_of_dpr_1(
    headers: dict[str, str], choice: str
) -> None:
    assert chosen(WIDTHS, "dpr:{auto,1,2}", "save_data", **headers) == choice


def test_save_data_lowers_nothing_that_the_link_does_not_say() -> None:
    saving = {"save_data": "on", "sec_ch_dpr": "2"}
    request = parse("resize:800", "dpr:{auto,1,2}", **saving)
    assert request.response_options.hint_choice == "2"
    assert "Save-Data" not in request.response_options.hint_rule.header_names  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("step", "off", "on"),
    [
        ("convert:webp:{auto,80,50}", "80", "50"),
        ("convert:auto:{auto,good,eco,low}", "good", "low"),
        ("convert:webp:ssimulacra2={auto,70,55.5}", "70", "55.5"),
        ("quality:webp={auto,80,40}", "80", "40"),
    ],
)
def test_save_data_chooses_the_last_quality(step: str, off: str, on: str) -> None:
    assert chosen("resize:800", step) == off
    assert chosen("resize:800", step, save_data="on") == on


@given(
    st.lists(st.integers(1, 3000), min_size=2, max_size=6, unique=True),
    st.lists(st.sampled_from(("1", "1.5", "2", "3")), min_size=2, max_size=4, unique=True),
    st.integers(1, 20_000),
    st.sampled_from(("0.5", "1", "1.25", "1.5", "2", "2.625", "3", "4")),
)
def test_what_is_chosen_is_the_least_that_has_enough_pixels(
    widths: list[int], ratios: list[str], width: int, dpr: str
) -> None:
    steps = (
        f"resize:{{auto,{','.join(map(str, widths))}}}",
        f"dpr:{{auto,{','.join(ratios)}}}",
    )
    choice = chosen(*steps, sec_ch_width=str(width), sec_ch_dpr=dpr)
    found, _, ratio = choice.partition(":")
    assert ratio in ratios
    enough = [one for one in ratios if Fraction(one) >= Fraction(dpr)]
    assert Fraction(ratio) == min(map(Fraction, enough or [max(ratios, key=Fraction)]))
    sufficient = [one for one in widths if one * Fraction(ratio) >= width - 1]
    assert int(found) == min(sufficient, default=max(widths))


@given(hostile, st.sampled_from((*WIDTH_HEADERS, *DPR_HEADERS)))
def test_hints_that_nobody_can_read_count_as_missing(value: bytes, name: str) -> None:
    link = NATIVE.build_link(URL, [WIDTHS, "dpr:{auto,1,2}"]).encode()
    headers = {name.lower().encode(): value}
    hints = ClientHints(headers)
    if not (hints.width or hints.viewport_width or hints.dpr):
        assert NATIVE.parse_with_headers(link, headers) == NATIVE.parse(link)
    else:  # only what is written as a number in bounds is read
        assert len(value) <= 64
        assert 0 < float(value) < 1_000_000


def test_a_hint_that_was_sent_twice_counts_as_missing() -> None:
    assert chosen(WIDTHS, sec_ch_width="320, 320") == "800"


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ((WIDTHS,), (*WIDTH_HEADERS, *DPR_HEADERS)),
        (("resize:800", "dpr:{auto,1,2}"), DPR_HEADERS),
        (("resize:800", "convert:webp:{auto,80,50}"), ("Save-Data",)),
        (("convert:webp:{auto,80,50}", WIDTHS), (*WIDTH_HEADERS, *DPR_HEADERS, "Save-Data")),
        (("resize:800", "dpr:{auto,1,2}", "save_data"), (*DPR_HEADERS, "Save-Data")),
    ],
)
def test_the_headers_that_may_change_the_choice_are_named(
    steps: tuple[str, ...], names: tuple[str, ...]
) -> None:
    for headers in ({}, {"sec_ch_width": "100"}, {"dpr": "2", "save_data": "on"}):
        rule = parse(*steps, **headers).response_options.hint_rule
        assert rule is not None
        assert rule.header_names == names


@given(st.dictionaries(st.sampled_from((*WIDTH_HEADERS, *DPR_HEADERS, "Save-Data")), hostile))
def test_headers_that_are_not_named_do_not_change_the_choice(headers: dict[str, bytes]) -> None:
    link = NATIVE.build_link(URL, ["resize:800", "dpr:{auto,1,2}", "save_data"]).encode()
    sent = {name.lower().encode(): value for name, value in headers.items()}
    rule = NATIVE.parse(link).response_options.hint_rule
    assert rule is not None
    named = {name.lower().encode() for name in rule.header_names}
    counted = {name: value for name, value in sent.items() if name in named}
    assert NATIVE.parse_with_headers(link, sent) == NATIVE.parse_with_headers(link, counted)


def test_a_choice_in_the_link_wins() -> None:
    request = parse_choice((WIDTHS,), ("320",), {"sec_ch_width": "1200"})
    assert request == CONTEXT.make_request(URL, ["resize:320"])
    assert request.response_options.hint_rule is None


def test_a_choice_may_leave_some_fields_to_the_hints() -> None:
    steps = (WIDTHS, "convert:{webp,avif}")
    request = parse_choice(steps, ("auto", "avif"), {"sec_ch_width": "600"})
    assert request.response_options.hint_choice == "640:avif"
    assert request.key == CONTEXT.make_request(URL, ["resize:640", "convert:avif"]).key
    with pytest.raises(ProxyError, match=r"/choose:auto:webp/"):
        NATIVE.parse(NATIVE.build_link(URL, steps).encode())


def test_auto_stays_a_value_of_fields_that_have_it() -> None:
    assert parse_choice(("convert:{auto,webp}",), ("auto",), {}).plan.negotiates_format
    with pytest.raises(ProxyError, match="is open"):
        NATIVE.parse(NATIVE.build_link(URL, ["convert:{auto,webp}"]).encode())


def test_a_preset_may_leave_its_fields_to_the_hints() -> None:
    request = parse("preset:card", sec_ch_width="1280", dpr="2")
    assert request.key == CONTEXT.make_request(URL, ["resize:1280"]).key
    assert "preset:card" in request.response_options.tags


def test_without_a_request_the_values_for_clients_without_hints_count() -> None:
    assert CONTEXT.make_request(URL, [WIDTHS]).key == CONTEXT.make_request(URL, ["resize:800"]).key


def test_a_rule_counts_its_values_without_auto() -> None:
    link = NATIVE.build_link(URL, [WIDTHS, "convert:auto"])
    rule = NATIVE.read_rule(link.encode())
    assert rule is not None
    assert (rule.renditions, rule.is_complete, rule.has_choice) == (16, True, False)
    assert "auto: by Sec-CH-Width, else 800" in rule.open_fields[0].describe()
    assert Signer("", [KEY]).url(URL, WIDTHS, "convert:auto") == link


def test_unsigned_links_choose_from_what_the_lists_allow() -> None:
    unsigned = {"*": UnsignedConfig(operations=("resize",), widths=(320, 640))}
    context = DialectContext(
        OperationRegistry(OPERATIONS), LinksConfig(presets=PRESETS, unsigned=unsigned)
    )
    dialect = NativeDialect(context)
    link = f"/_/resize:{{auto,640,320,9000}}/save_data/{URL}".encode()
    small = dialect.parse_with_headers(link, {b"sec-ch-width": b"300"})
    assert small.key == context.make_request(URL, ["resize:320"]).key
    with pytest.raises(ProxyError, match="9000 is not allowed in unsigned links"):
        dialect.parse_with_headers(link, {b"sec-ch-width": b"5000"})
    assert dialect.parse(f"/_/preset:card/{URL}".encode())


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["resize:auto"], "such as {auto,800,320,640,1280}; not 'auto'"),
        (["resize:{auto,320}"], "a list of at least two values after auto"),
        (["resize:{320,auto}"], "a list of at least two values after auto"),
        (["resize:{320,640,auto}"], "a list of at least two values after auto"),
        (["resize:{auto,100..900..100}"], "a list of at least two values after auto"),
        (["resize:{auto,320,320}"], "320 is given twice"),
        (["resize:{auto,auto,320}"], "choose from numbers"),
        (["resize:{auto,320,wide}"], "choose from numbers"),
        (["fit_box:{auto,0.5,320}"], "numbers of 1 or more"),
        (["resize:{auto,320,99999}"], "choose:99999: resize: width_in_px"),
        (["resize:80:{auto,1,2}"], "no client hint is about this field"),
        (["crop:0:0:{auto,1,2}:5"], "no client hint is about this field"),
        (["thumbnail:80:dpr={auto,1,2}"], "no client hint is about this field"),
        (["resize:{auto,1,2}:dpr=2"], "use the link option dpr instead"),
        (["dpr:auto", "resize:80"], "such as {auto,1,2}; not 'auto'"),
        (["dpr:{auto,1,9}", "resize:80"], "dpr: must be a number from 0.1 to 5"),
        (["convert:webp:auto"], "such as {auto,80,50}; not 'auto'"),
        (["save_data", "resize:80"], "save_data: needs a width or dpr"),
        (["save_data:1", WIDTHS], "takes no value"),
        (["save_data", "save_data", WIDTHS], "given twice"),
        (["resize:{auto,1..300}", "convert:auto"], "a list of at least two values"),
    ],
)
def test_what_hints_cannot_choose_is_refused(steps: list[str], reason: str) -> None:
    assert reason in refusal(*steps)
