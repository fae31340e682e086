"""Settings come from the environment and a file, and every mistake is told by name."""

import traceback
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct, field, structs

from proxy.cli.config import reference
from proxy.config import Settings, described, load, meanings
from proxy.errors import ConfigError
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy
from proxy.validation import secret


class Plugged(Struct, frozen=True, forbid_unknown_fields=True):
    """What a section has in common with others."""

    plug: str = "F"
    """Which wall it fits."""


class Lamp(Plugged, frozen=True, forbid_unknown_fields=True):
    """A section as an engine would declare it."""

    watts: Annotated[int, Meta(ge=1, le=100)] = 60
    """How bright it is."""

    rooms: tuple[str, ...] = ()
    """Where it
    may stand."""

    dimmed: bool = False
    """Whether it is dimmed."""

    codes: Annotated[
        tuple[Annotated[str, Meta(min_length=4)], ...], Meta(extra_json_schema={"writeOnly": True})
    ] = ()
    """What opens it."""

    names: dict[str, str] = field(default_factory=dict)
    """What it is called, by whom."""

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


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "house.toml"
    file.write_text("colour = 1\n[lamp]\nheight = 4\n")
    with pytest.raises(ConfigError) as caught:
        lamp(
            FRAMEKEEP_CONFIG=str(file),
            FRAMEKEEP_LAMP_WATTS="bright",
            FRAMEKEEP_LAMP_DIMMED="yes",
            FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES="0",
            FRAMEKEEP_LAMPS="1",
        )
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            f"{file}: 'colour' must stand in a [section]",
            f"{file}: [lamp] has no setting 'height'",
            "FRAMEKEEP_LAMPS is no setting; `framekeep config` lists them all",
            "FRAMEKEEP_LAMP_WATTS='bright': expected `int`, got `str`",
            "FRAMEKEEP_LAMP_DIMMED='yes': expected `bool`, got `str`",
            "FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES=0: expected `int` >= 1",
        ]
    )


def test_what_a_section_checks_by_itself_is_told_by_name_too() -> None:
    with pytest.raises(ConfigError) as caught:
        lamp(FRAMEKEEP_LAMP_PLUG="G", FRAMEKEEP_LAMP_DIMMED="true")
    assert str(caught.value) == "FRAMEKEEP_LAMP_PLUG='G': a lamp with this one cannot be dimmed"


def test_what_sections_have_in_common_is_described() -> None:
    rows = {row.variable: row for row in described(load({}, House))}
    assert rows["FRAMEKEEP_LAMP_PLUG"].meaning == "Which wall it fits."


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"FRAMEKEEP_CONFIG=.*gone\.toml"):
        lamp(FRAMEKEEP_CONFIG=str(tmp_path / "gone.toml"))
    (tmp_path / "bad.toml").write_text("[lamp")
    with pytest.raises(ConfigError, match="this is no TOML"):
        lamp(FRAMEKEEP_CONFIG=str(tmp_path / "bad.toml"))


def test_settings_are_described_and_secrets_are_counted() -> None:
    loaded = load({"FRAMEKEEP_LAMP_CODES": "open,shut", "FRAMEKEEP_LAMP_WATTS": "5"}, House)
    rows = {row.variable: row for row in described(loaded)}
    watts = rows["FRAMEKEEP_LAMP_WATTS"]
    assert (watts.form, watts.default, watts.value) == ("integer >= 1, <= 100", "60", "5")
    assert (watts.origin, watts.meaning) == ("environment", "How bright it is.")
    assert rows["FRAMEKEEP_LAMP_CODES"].value == "(2 set)"
    assert rows["FRAMEKEEP_LAMP_ROOMS"].meaning == "Where it may stand."
    assert rows["FRAMEKEEP_LAMP_ROOMS"].origin == "default"


def test_a_bad_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        lamp(FRAMEKEEP_LAMP_CODES="1234,xyz")
    assert str(caught.value) == "FRAMEKEEP_LAMP_CODES: expected `str` of length >= 4"


@pytest.mark.parametrize("section", structs.fields(Settings), ids=lambda one: one.name)
def test_every_setting_has_words(section: structs.FieldInfo) -> None:
    assert set(meanings(section.type)) == set(section.type.__struct_fields__)


def test_the_settings_page_is_what_the_settings_say() -> None:
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    assert page.read_text() == reference(), "run scripts/docs"


def test_a_server_that_nobody_closed_does_not_start() -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_LINKS_KEYS"):
        Settings().check()
    load({"FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true"}).settings.check()
    load({"FRAMEKEEP_LINKS_KEYS": "00" * 16}).settings.check()


SECRETS = {
    "FRAMEKEEP_LINKS_KEYS": "5ec2e7" * 8,
    "FRAMEKEEP_API_KEYS": "5ec2e7-api,5ec2e7-other",
    "FRAMEKEEP_ADMIN_KEYS": "5ec2e7-admin",
    "FRAMEKEEP_METRICS_KEYS": "5ec2e7-metrics",
    "FRAMEKEEP_CDN_CLOUDFLARE_ZONE_ID": "zone",
    "FRAMEKEEP_CDN_CLOUDFLARE_API_TOKEN": "5ec2e7-cloudflare",
    "FRAMEKEEP_CDN_FASTLY_SERVICE_ID": "service",
    "FRAMEKEEP_CDN_FASTLY_API_TOKEN": "5ec2e7-fastly",
}


def test_no_secret_is_printed_with_what_holds_it() -> None:
    settings = load({**SECRETS, "FRAMEKEEP_SERVER_PORT": "8123"}).settings
    sections = [getattr(settings, name) for name in settings.__struct_fields__]
    for holder in (settings, *sections, load(SECRETS), *settings.cdn.cdns(HttpClient(SsrfPolicy()))):
        raised = "".join(traceback.format_exception(ValueError(holder)))
        assert "5ec2e7" not in f"{holder!r} {holder} {[holder]} {raised}"
    assert "port=8123" in repr(settings)
    assert "allow_unsigned=False" in repr(settings)


def test_every_setting_with_the_name_of_a_secret_is_one() -> None:
    shown = {one.variable for one in described(load(SECRETS)) if "5ec2e7" in one.value}
    named = {
        f"{section.name}_{field.name}"
        for section in structs.fields(Settings)
        for field in structs.fields(section.type)
        if any(word in field.name for word in ("key", "token", "secret", "password"))
        and not secret(section.type, field.name)
    }
    assert not shown
    assert named == {"api_allow_keyless"}
