"""Values as people write them are understood, and refusals say what is allowed."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from proxy.config import Settings, load
from proxy.errors import ConfigError, InvalidOperation
from proxy.operations import OPERATIONS
from proxy.operations.operation import format_operation
from proxy.operations.registry import OperationRegistry
from proxy.text_values import canonical_color, is_bytes, is_seconds, parse_quantity
from proxy.validation import field_schemas

REGISTRY = OperationRegistry(OPERATIONS)


def canonical(name: str, *texts: str) -> str:
    return format_operation(REGISTRY.from_args(name, [(None, text) for text in texts]))


def refusal(name: str, *texts: str) -> str:
    with pytest.raises(InvalidOperation) as caught:
        canonical(name, *texts)
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("max_result_bytes", "10GB", 10_000_000_000),
        ("max_result_bytes", "512MiB", 512 * 1024 * 1024),
        ("max_result_bytes", "1.5 kb", 1500),
        ("max_file_size_in_bytes", "1b", 1),
        ("min_bytes_per_second", "1KiB", 1024),
        ("read_timeout_seconds", "250ms", Fraction(1, 4)),
        ("ttl_default", "1d", 86_400),
        ("stale_if_error", "2w", 1_209_600),
        ("negative_ttl", "1.5h", 5400),
        ("read_timeout_seconds", "10MB", None),
        ("max_result_bytes", "1d", None),
        ("ttl_jitter", "1s", None),
        ("port", "1k", None),
        ("max_result_bytes", "10 G B", None),
        ("max_result_bytes", "-1MB", None),
    ],
)
def test_quantities_have_units(field: str, text: str, value: int | None) -> None:
    assert parse_quantity(field, text) == value


@given(st.integers(1, 10**6), st.sampled_from(["B", "kB", "MB", "GB", "KiB", "MiB", "GiB"]))
def test_every_number_of_bytes_is_exact(number: int, unit: str) -> None:
    base = 1024 if "i" in unit else 1000
    expected = number * base ** "BKMG".index(unit[0].upper())
    assert parse_quantity("bytes", f"{number}{unit}") == expected


def test_every_setting_in_seconds_or_bytes_takes_units() -> None:
    for section in structs.fields(Settings):
        for name, schemas in field_schemas(section.type).items():
            if schemas[0].get("type") in ("integer", "number"):
                text = schemas[0]["description"]
                assert " in seconds" not in text or is_seconds(name), name
                assert not text.startswith("Bytes of the ") or is_bytes(name), name


def test_settings_understand_units_and_switches(tmp_path: Path) -> None:
    file = tmp_path / "framekeep.toml"
    file.write_text('[cache]\nmax_result_bytes = "20GB"\n[links]\nallow_unsigned = "yes"\n')
    settings = load(
        {
            "FRAMEKEEP_CONFIG": str(file),
            "FRAMEKEEP_CACHE_MAX_ORIGINAL_BYTES": "512MiB",
            "FRAMEKEEP_CACHE_TTL_DEFAULT": "1d",
            "FRAMEKEEP_SOURCES_ALLOW_HTTP": "Off",
            "FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS": "jpg,heic,png",
        }
    ).settings
    assert settings.cache.max_result_bytes == 20_000_000_000
    assert settings.cache.max_original_bytes == 536_870_912
    assert settings.cache.ttl_default == 86_400
    assert settings.links.allow_unsigned
    assert not settings.sources.allow_http
    assert settings.limits.allow_source_formats == ("jpeg", "heif", "png")


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("CACHE_TTL_MIN", "1y", "a number from 0 to 31536000, or with a unit, such as `30s`"),
        ("LOG_LEVEL", "inf", "must be one of debug, error, info, warning, not 'inf'; did you mean"),
        ("LIMITS_ALLOW_SOURCE_FORMATS", "png,web", "not 'web'; did you mean 'webp'?"),
        ("LINKS_KEYS", "secret", "must be a list, each 16 to 128 bytes in hexadecimal"),
        ("API_ALLOW_ANONYMOUS", "maybe", "must be true or false (also yes, no, on, off)"),
        ("CDN_FASTLY_URL", "x", "is not a setting"),
    ],
)
def test_a_refused_setting_says_what_is_allowed(variable: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({f"FRAMEKEEP_{variable}": text})
    message = str(caught.value)
    assert message.startswith(f"FRAMEKEEP_{variable}")
    assert sentence in message
    assert "secret" not in message


def test_formats_colors_and_switches_have_the_names_that_people_use() -> None:
    assert canonical("convert", "jpg", "80") == "convert:jpeg:80"
    assert canonical("convert", "HEIC") == "convert:heif"
    for red in ("red", "Red", "#f00", "f00", "ff0000", "#FF0000"):
        assert canonical("tint", red) == "tint:FF0000"
    assert canonical("pad", "9", "9", "center", "RebeccaPurple") == "pad:9:9:center:663399"
    assert canonical("pad", "9", "9", "", "transparent") == "pad:9:9:center:transparent"
    assert canonical("watermark", "m:a", "", "", "", "", "", "", "yes").endswith(":true")
    plan = REGISTRY.plan(
        [{"type": "convert", "format": "jpg"}, {"type": "tint", "hex_color": "red"}]
    )
    assert plan.format == "jpeg"


def test_names_are_understood_within_tables_of_settings() -> None:
    loaded = load({"FRAMEKEEP_LINKS_UNSIGNED": '{"a:": {"formats": ["jpg", "HEIC", "auto"]}}'})
    assert loaded.settings.links.unsigned["a:"].formats == ("jpeg", "heif", "auto")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"formats": ["webpp"]}, "formats[0]: must be one of avif, bmp, gif, heif, ico, jpeg"),
        ({"formats": ["webpp"]}, "not 'webpp'; did you mean 'webp'?"),
        ({"qualities": [80, "god"]}, "qualities[1]: must be one of best, eco, good, low, 1 to 100"),
        ({"format": []}, "unknown field 'format'; did you mean 'formats'?; the fields are:"),
        ({"widths": "wide"}, "widths: must be a list, not text"),
    ],
)
def test_a_refused_value_within_a_table_says_where_and_what_is_allowed(
    entry: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"FRAMEKEEP_LINKS_UNSIGNED": json.dumps({"a:": entry})})
    assert sentence in str(caught.value)


def test_a_refused_value_of_an_operation_says_what_is_allowed() -> None:
    assert refusal("convert", "webpp") == (
        "convert: format: must be one of "
        "auto, avif, gif, heif, jpeg, jxl, png, webp, not 'webpp'; did you mean 'webp'?"
    )
    bounds = "must be a number above 0, up to 100, not '3000'"
    assert refusal("blur", "3000") == f"blur: sigma: {bounds}"
    assert refusal("tint", "tomatoe").startswith(
        "tint: hex_color: must be a color such as `#ff8800`"
    )
    assert refusal("tint", "tomatoe").endswith("not 'tomatoe'; did you mean 'tomato'?")
    assert refusal("pad", "9", "9", "", "Transparant").endswith("did you mean 'transparent'?")
    assert refusal("resize", "800", "600", "covers").endswith("did you mean 'cover'?")
    assert "did you mean 'resize'?" in refusal("resise")


def test_no_refusal_has_types_of_python_or_patterns() -> None:
    for kind in OPERATIONS:
        name = str(kind.__struct_config__.tag)
        for field in kind.__struct_fields__:
            values: tuple[object, ...] = (
                "\N{SNOWMAN}",
                -(10**9),
                None,
                [],
                {},
                1e300,
                True,
                "9" * 200,
            )
            for wrong in values:
                with pytest.raises(InvalidOperation) as caught:
                    REGISTRY.plan([{"type": name, field: wrong}, {"type": "none"}])
                assert not {"`int`", "`str`", "regex", "required field", "Expected"} & set(
                    str(caught.value).split()
                )


@given(st.text(max_size=30))
def test_any_text_is_a_color_or_none(text: str) -> None:
    found = canonical_color(text)
    assert found is None or (len(found) == 7 and found[0] == "#")
