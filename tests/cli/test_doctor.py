"""The doctor checks versions of libraries and locations of sources."""

from importlib import metadata

import pytest

from proxy.cli.doctor import check_versions
from proxy.cli.startup_checks import STARTUP_CHECKS
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.sources.config import SourceConfig

INSTALLED = {"lamp": "3.14.5", "switch": "2.0", "plug": "0.9.1"}


def installed_version(name: str) -> str:
    if name not in INSTALLED:
        raise metadata.PackageNotFoundError(name)
    return INSTALLED[name]


@pytest.mark.parametrize(
    ("requirement", "state", "message"),
    [
        ("lamp<3.15,>=3.13", "ok", "the last series that is allowed is installed: lamp 3.14.5"),
        ("lamp>=3.13,<4", "ok", "the last series that is allowed is installed: lamp 3.14.5"),
        ("lamp<3.16", "ok", "below all upper bounds"),
        ("lamp<5", "ok", "below all upper bounds"),
        ("lamp<3.14", "note", "not tested with lamp 3.14.5 (allowed: <3.14)"),
        ("switch<2", "note", "not tested with switch 2.0 (allowed: <2)"),
        ("plug<0.10; extra == 'house'", "ok", "the last series that is allowed is installed: plug"),
        ("plug>=0.9; python_version < '3.14'", "ok", "below all upper bounds"),
        ("cable<2", "ok", "below all upper bounds"),
    ],
)
def test_versions_near_and_beyond_a_bound_are_reported(
    requirement: str, state: str, message: str
) -> None:
    result = check_versions([requirement], installed_version)
    assert result.state == state
    assert result.message.startswith(message)


def test_the_version_that_is_beyond_its_bound_is_reported_before_those_that_are_near() -> None:
    result = check_versions(["lamp<3.15", "switch<2"], installed_version)
    assert (result.state, result.name) == ("note", "versions")
    assert "switch 2.0" in result.message
    assert "lamp" not in result.message


def test_the_sources_of_aliases_are_checked() -> None:
    settings = Settings(sources=SourceConfig(aliases={"media": "file:///srv"}))
    result = dict(STARTUP_CHECKS)["sources"](settings)
    assert (result.state, result.message) == ("ok", "http(s) URLs, media")


@pytest.mark.parametrize(
    ("location", "message"),
    [("file://srv", "media: a folder is written"), ("ftp://srv", "media: unknown scheme")],
)
def test_an_invalid_location_of_an_alias_fails_the_check(location: str, message: str) -> None:
    settings = Settings(sources=SourceConfig(aliases={"media": location}))
    with pytest.raises(ConfigError, match=f"FRAMEKEEP_SOURCES_ALIASES: {message}"):
        dict(STARTUP_CHECKS)["sources"](settings)
