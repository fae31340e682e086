"""The doctor checks versions of libraries and locations of sources."""

from importlib import metadata

import pytest

from proxy.cli.doctor import check_aliases, check_versions
from proxy.config import Settings
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


@pytest.mark.parametrize(
    ("location", "state", "message"),
    [
        ("file:///srv", "ok", "http(s) URLs, media"),
        ("file://srv", "bad", "FRAMEKEEP_SOURCES_ALIASES: media: a folder is written"),
        ("ftp://srv", "bad", "FRAMEKEEP_SOURCES_ALIASES: media: unknown scheme"),
    ],
)
def test_the_locations_of_aliases_are_checked(location: str, state: str, message: str) -> None:
    result = check_aliases(Settings(sources=SourceConfig(aliases={"media": location})))
    assert result.state == state
    assert result.message.startswith(message)
