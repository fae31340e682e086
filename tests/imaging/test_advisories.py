"""Nothing is served with a decoder that whoever sends a picture could take over."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.__main__ import main
from proxy.app import create_app
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.formats import Name
from proxy.imaging import advisories
from proxy.imaging.advisories import ADVISORIES, Advisory, holes, installed
from proxy.limits import Limits
from proxy.links.native import LinksConfig

ALL = Limits().allow_source_formats


def test_the_libraries_that_are_installed_have_no_known_hole() -> None:
    assert not list(holes(installed(), ALL))
    assert "libvips" in installed()


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda one: f"{one.library}-{one.name}")
def test_a_version_before_the_mended_one_is_refused_and_the_mended_one_is_not(
    advisory: Advisory,
) -> None:
    *upper, last = (int(number) for number in advisory.safe.split("."))
    before = [*upper, last - 1] if last else [upper[0], upper[1] - 1, 99]

    told = list(holes({advisory.library: ".".join(map(str, before))}, advisory.formats))
    mine = [sentence for sentence in told if advisory.name in sentence]

    assert len(mine) == 1
    assert f"update it to {advisory.safe}" in mine[0]
    assert "FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS" in mine[0]
    later = holes({advisory.library: advisory.safe}, advisory.formats)
    assert not any(advisory.name in sentence for sentence in later)


@pytest.mark.parametrize(
    ("versions", "formats", "patched", "count"),
    [
        ({"libheif": "1.21.2"}, ("avif",), (), 2),
        ({"libheif": "1.21.2"}, ("jpeg", "heif"), (), 0),
        ({"libheif": "1.21.2-3ubuntu0.3"}, ("avif",), ("CVE-2026-84383", "GHSA-x8r2-mggj-j6wr"), 0),
        ({"libheif": "1.21.2"}, ("avif",), ("CVE-2026-84383",), 1),
        ({"libheif": "1.23.10"}, ("avif",), (), 0),
        ({"libheif": "2.0"}, ("avif",), (), 0),
        ({"libheif": "of some kind"}, ("avif",), (), 2),
        ({"libheif of pillow-heif": "1.22.0"}, ("avif",), (), 0),
        ({"libwebp": "1.3.1"}, ALL, (), 1),
        ({}, ALL, (), 0),
    ],
)
def test_only_what_a_picture_can_reach_counts(
    versions: Mapping[str, str],
    formats: tuple[Name, ...],
    patched: tuple[str, ...],
    count: int,
) -> None:
    assert len(list(holes(versions, formats, patched))) == count


@given(st.text(max_size=20))
def test_whatever_a_library_calls_its_version_is_compared(version: str) -> None:
    assert len(list(holes({"libvips": version}, ALL))) in (0, 1)


def test_nothing_starts_with_a_hole_and_the_doctor_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Advisory("libvips", "99.1.0", "CVE-2099-1", ("avif", "jpeg"))
    monkeypatch.setattr(advisories, "ADVISORIES", (found,))
    monkeypatch.setenv("FRAMEKEEP_LINKS_ALLOW_UNSIGNED", "true")
    sentence = (
        f"libvips {installed()['libvips']} has a hole that a picture can reach (CVE-2099-1): "
        "update it to 99.1.0 or later, or leave avif and jpeg out of "
        "FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS"
    )

    assert main(["serve"]) == 2
    assert capsys.readouterr().err.strip() == sentence
    assert main(["doctor"]) == 1
    assert sentence in capsys.readouterr().out
    with pytest.raises(ConfigError, match="CVE-2099-1"):
        create_app(Settings(links=LinksConfig(allow_unsigned=True)))
