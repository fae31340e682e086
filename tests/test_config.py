"""Settings are read from the environment and a file, and every mistake is reported by name."""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct, field, structs

from proxy.cache.cdn import open_cdns
from proxy.cli.config import reference
from proxy.config import Settings, describe_settings, load
from proxy.errors import ConfigError
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy
from proxy.validation import field_schemas, is_secret


class Plugged(Struct, frozen=True, forbid_unknown_fields=True):
    """What a section has in common with others."""

    plug: Annotated[str, Meta(description="The socket that it fits.")] = "F"


class Lamp(Plugged, frozen=True, forbid_unknown_fields=True):
    """A section as a component would declare it."""

    watts: Annotated[int, Meta(ge=1, le=100, description="Power in watts.")] = 60
    rooms: Annotated[tuple[str, ...], Meta(description="Rooms that it is allowed in.")] = ()
    dimmed: Annotated[bool, Meta(description="Start dimmed.")] = False
    codes: Annotated[
        tuple[Annotated[str, Meta(min_length=4)], ...],
        Meta(description="Codes that switch it on.", extra_json_schema={"writeOnly": True}),
    ] = ()
    names: Annotated[dict[str, str], Meta(description="Names by person.")] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.plug == "G" and self.dimmed:
            raise ValueError("plug: a lamp with this one cannot be dimmed")


class House(Settings, frozen=True):
    lamp: Lamp = field(default_factory=Lamp)


def lamp(**environment: str) -> Lamp:
    settings = load(environment, House).settings
    assert isinstance(settings, House)
    return settings.lamp


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({}).settings == Settings()


def test_the_environment_is_read_by_section_and_name() -> None:
    assert lamp(
        FRAMEKEEP_LAMP_WATTS="40",
        FRAMEKEEP_LAMP_ROOMS="hall, attic",
        FRAMEKEEP_LAMP_DIMMED="true",
        FRAMEKEEP_LAMP_NAMES='{"me": "sun"}',
    ) == Lamp(watts=40, rooms=("hall", "attic"), dimmed=True, names={"me": "sun"})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "house.toml"
    file.write_text('[lamp]\nwatts = 40\nrooms = ["hall"]\n\n[lamp.names]\nme = "sun"\n')
    assert lamp(FRAMEKEEP_CONFIG=str(file), FRAMEKEEP_LAMP_WATTS="25") == Lamp(
        watts=25, rooms=("hall",), names={"me": "sun"}
    )


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "house.toml"
    file.write_text("colour = 1\n[lamp]\nheight = 4\n")
    with pytest.raises(ConfigError) as caught:
        lamp(
            FRAMEKEEP_CONFIG=str(file),
            FRAMEKEEP_LAMP_WATTS="bright",
            FRAMEKEEP_LAMP_DIMMED="rather",
            FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES="0",
            FRAMEKEEP_LAMPS="1",
        )
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            f"{file}: 'colour' must be inside a [section]",
            f"{file}: [lamp] height is not a setting; `framekeep config` lists all settings",
            "FRAMEKEEP_LAMPS is not a setting; `framekeep config` lists all settings",
            "FRAMEKEEP_LAMP_WATTS: must be a whole number from 1 to 100, not 'bright'",
            "FRAMEKEEP_LAMP_DIMMED: must be true or false (also yes, no, on, off), not 'rather'",
            (
                "FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES: must be a whole number from 1 on, or with a "
                "unit, such as `10MB`, `512MiB`, not '0'"
            ),
        ]
    )


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("FRAMEKEEP_LAMP_WATT", "FRAMEKEEP_LAMP_WATTS"),
        ("FRAMEKEEP_SERVER_MAX_CONNECTION", "FRAMEKEEP_SERVER_MAX_CONNECTIONS"),
        ("FRAMEKEEP_LINK_KEYS", "FRAMEKEEP_LINKS_KEYS"),
    ],
)
def test_a_name_that_is_nearly_right_is_corrected(wrong: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lamp(**{wrong: "1"})
    assert str(caught.value) == f"{wrong} is not a setting; did you mean {meant}?"


def test_a_name_in_a_file_that_is_nearly_right_is_corrected(tmp_path: Path) -> None:
    file = tmp_path / "house.toml"
    file.write_text("[lamp]\nwatt = 4\n")
    with pytest.raises(ConfigError) as caught:
        lamp(FRAMEKEEP_CONFIG=str(file))
    expected = f"{file}: [lamp] watt is not a setting; did you mean FRAMEKEEP_LAMP_WATTS?"
    assert str(caught.value) == expected


def test_what_a_section_checks_by_itself_is_reported_by_name_too() -> None:
    with pytest.raises(ConfigError) as caught:
        lamp(FRAMEKEEP_LAMP_PLUG="G", FRAMEKEEP_LAMP_DIMMED="true")
    assert str(caught.value) == "FRAMEKEEP_LAMP_PLUG='G': a lamp with this one cannot be dimmed"


def test_inherited_settings_are_described() -> None:
    rows = {row.variable: row for row in describe_settings(load({}, House))}
    assert rows["FRAMEKEEP_LAMP_PLUG"].description == "The socket that it fits."


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"FRAMEKEEP_CONFIG=.*gone\.toml"):
        lamp(FRAMEKEEP_CONFIG=str(tmp_path / "gone.toml"))
    (tmp_path / "bad.toml").write_text("[lamp")
    with pytest.raises(ConfigError, match="not valid TOML"):
        lamp(FRAMEKEEP_CONFIG=str(tmp_path / "bad.toml"))


def test_settings_are_described_and_secrets_are_counted() -> None:
    loaded = load({"FRAMEKEEP_LAMP_CODES": "open,shut", "FRAMEKEEP_LAMP_WATTS": "5"}, House)
    rows = {row.variable: row for row in describe_settings(loaded)}
    watts = rows["FRAMEKEEP_LAMP_WATTS"]
    assert (watts.type, watts.default, watts.value) == ("integer >= 1, <= 100", "60", "5")
    assert (watts.origin, watts.description) == ("environment", "Power in watts.")
    assert rows["FRAMEKEEP_LAMP_CODES"].value == "(2 set)"
    assert rows["FRAMEKEEP_LAMP_ROOMS"].description == "Rooms that it is allowed in."
    assert rows["FRAMEKEEP_LAMP_ROOMS"].origin == "default"


def test_a_bad_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        lamp(FRAMEKEEP_LAMP_CODES="1234,xyz")
    assert str(caught.value) == (
        "FRAMEKEEP_LAMP_CODES: must be a list, each text of at least 4 characters"
    )


@pytest.mark.parametrize("section", structs.fields(Settings), ids=lambda one: one.name)
def test_every_setting_has_a_description(section: structs.FieldInfo) -> None:
    for schemas in field_schemas(section.type).values():
        assert schemas[0]["description"].endswith(".")
    assert section.type.__doc__


def test_the_settings_page_is_generated_from_the_settings() -> None:
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    assert page.read_text() == reference(), "run scripts/docs"


def test_a_server_without_keys_does_not_start_unless_unsigned_links_are_allowed() -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_LINKS_KEYS"):
        Settings().validate()
    load({"FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true"}).settings.validate()
    load({"FRAMEKEEP_LINKS_KEYS": "00" * 16}).settings.validate()


def test_jpeg_xl_is_offered_only_where_its_encoder_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsigned = {"FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true"}
    settings = load({**unsigned, "FRAMEKEEP_LINKS_AUTO_JXL": "true"}).settings
    settings.validate()
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"FRAMEKEEP_LINKS_AUTO_JXL .* framekeep\[jxl\]"):
        settings.validate()
    load(unsigned).settings.validate()


SECRETS = {
    "FRAMEKEEP_LINKS_KEYS": "5ec2e7" * 8,
    "FRAMEKEEP_API_KEYS": "5ec2e7-api,5ec2e7-other",
    "FRAMEKEEP_ADMIN_KEYS": "5ec2e7-admin",
    "FRAMEKEEP_METRICS_KEYS": "5ec2e7-metrics",
    "FRAMEKEEP_CDN_CLOUDFLARE_ZONE_ID": "zone",
    "FRAMEKEEP_CDN_CLOUDFLARE_API_TOKEN": "5ec2e7-cloudflare",
    "FRAMEKEEP_CDN_FASTLY_SERVICE_ID": "service",
    "FRAMEKEEP_CDN_FASTLY_API_TOKEN": "5ec2e7-fastly",
    "FRAMEKEEP_CDN_CLOUDFRONT_DISTRIBUTION_ID": "distribution",
    "FRAMEKEEP_CDN_CLOUDFRONT_ACCESS_KEY_ID": "5ec2e7-cloudfront",
    "FRAMEKEEP_CDN_CLOUDFRONT_SECRET_ACCESS_KEY": "5ec2e7-cloudfront",
    "FRAMEKEEP_CDN_CLOUDFRONT_SESSION_TOKEN": "5ec2e7-cloudfront",
    "FRAMEKEEP_CDN_BUNNY_PULL_ZONE_ID": "1",
    "FRAMEKEEP_CDN_BUNNY_API_KEY": "5ec2e7-bunny",
    "FRAMEKEEP_CDN_TAG_HEADERS": "Cache-Tag,Surrogate-Key,CDN-Tag",
}


def test_no_secret_is_printed_with_what_holds_it() -> None:
    settings = load({**SECRETS, "FRAMEKEEP_SERVER_PORT": "8123"}).settings
    sections = [getattr(settings, name) for name in settings.__struct_fields__]
    for holder in (
        settings,
        *sections,
        load(SECRETS),
        *open_cdns(settings.cdn, HttpClient(SsrfPolicy())),
    ):
        raised = "".join(traceback.format_exception(ValueError(holder)))
        assert "5ec2e7" not in f"{holder!r} {holder} {[holder]} {raised}"
    assert "port=8123" in repr(settings)
    assert "allow_unsigned=False" in repr(settings)


def test_every_setting_named_like_a_secret_is_a_secret() -> None:
    shown = {one.variable for one in describe_settings(load(SECRETS)) if "5ec2e7" in one.value}
    not_secret = {
        f"{section.name}_{field.name}"
        for section in structs.fields(Settings)
        for field in structs.fields(section.type)
        if any(word in field.name for word in ("key", "token", "secret", "password"))
        and not is_secret(section.type, field.name)
    }
    assert not shown
    assert not not_secret


@pytest.mark.parametrize(
    "variable",
    [
        "FRAMEKEEP_SOURCES_ALLOW_HOSTS",
        "FRAMEKEEP_SOURCES_ALLOW_PORTS",
        "FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_HOSTS",
        "FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_PORTS",
    ],
)
def test_a_list_of_what_is_allowed_may_not_be_empty(variable: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}=.*: the list is empty: name at least one"):
        load({variable: ""})


def test_a_number_of_many_digits_is_rejected() -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_SERVER_PORT: number has more than 18 digits"):
        load({"FRAMEKEEP_SERVER_PORT": "9" * 5000})
