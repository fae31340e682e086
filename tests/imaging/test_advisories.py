"""Vulnerable image libraries are found by their versions, and reported by `framekeep doctor`."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.app import create_app
from proxy.cli.doctor import run_checks
from proxy.config import Settings
from proxy.formats import FormatName
from proxy.imaging import advisories
from proxy.imaging.advisories import ADVISORIES, Advisory, library_versions, vulnerabilities
from proxy.limits import Limits
from proxy.links.config import LinksConfig

ALL_FORMATS = Limits().allow_source_formats


def test_the_installed_libraries_have_no_known_vulnerability() -> None:
    assert not list(vulnerabilities(library_versions(), ALL_FORMATS))
    assert "libvips" in library_versions()


@pytest.mark.parametrize(
    "advisory", ADVISORIES, ids=lambda advisory: f"{advisory.library}-{advisory.id}"
)
def test_versions_before_the_fixed_one_are_vulnerable(advisory: Advisory) -> None:
    *upper, last = (int(number) for number in advisory.fixed_in.split("."))
    before = [*upper, last - 1] if last else [upper[0], upper[1] - 1, 99]

    versions = {advisory.library: ".".join(map(str, before))}
    found = list(vulnerabilities(versions, advisory.formats))
    matching = [sentence for sentence in found if advisory.id in sentence]

    assert len(matching) == 1
    assert f"fixed in {advisory.fixed_in}" in matching[0]
    fixed = vulnerabilities({advisory.library: advisory.fixed_in}, advisory.formats)
    assert not any(advisory.id in sentence for sentence in fixed)


@pytest.mark.parametrize(
    ("versions", "formats", "count"),
    [
        ({"libheif": "1.21.2"}, ("avif",), 2),
        ({"libheif": "1.21.2"}, ("jpeg", "heif"), 0),
        ({"libheif": "1.21.2-3ubuntu0.3"}, ("avif",), 2),
        ({"libheif": "1.23.2"}, ("avif",), 1),
        ({"libheif": "1.23.10"}, ("avif",), 0),
        ({"libheif": "2.0"}, ("avif",), 0),
        ({"libheif": "unknown"}, ("avif",), 2),
        ({"libheif of pillow-heif": "1.22.0"}, ("avif",), 0),
        ({"libwebp": "1.3.1"}, ALL_FORMATS, 1),
        ({}, ALL_FORMATS, 0),
    ],
)
def test_only_vulnerabilities_in_accepted_formats_count(
    versions: Mapping[str, str], formats: tuple[FormatName, ...], count: int
) -> None:
    assert len(list(vulnerabilities(versions, formats))) == count


@given(st.text(max_size=20))
def test_any_version_text_can_be_compared(version: str) -> None:
    assert len(list(vulnerabilities({"libvips": version}, ALL_FORMATS))) in (0, 1)


def test_doctor_warns_about_a_vulnerable_library_and_the_server_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    advisory = Advisory("libvips", "99.1.0", "CVE-2099-1", ("avif", "jpeg"))
    monkeypatch.setattr(advisories, "ADVISORIES", (advisory,))

    results = {result.name: result for result in run_checks({})}

    assert results["libraries"].state == "note"
    assert results["libraries"].message == (
        f"libvips {library_versions()['libvips']} is vulnerable to avif and jpeg files "
        "(CVE-2099-1, fixed in 99.1.0)"
    )
    assert create_app(Settings(links=LinksConfig(allow_unsigned=True)))
