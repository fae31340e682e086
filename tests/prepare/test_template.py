"""Names of files: no two renditions share one, and none leaves its folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigError, InvalidSource
from proxy.image_request import ImageRequest
from proxy.originals import SourceRef
from proxy.prepare.job import Wanted
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.template import NameTemplate


def name(template: str, source: str, accept: str = "avif", format: str = "jpeg") -> str:
    row = ManifestRow(source, version="3")
    wanted = Wanted("card", accept, ImageRequest(SourceRef(source)))
    return NameTemplate.parse(template).name(row, wanted, format)


@pytest.mark.parametrize(
    ("template", "location", "pattern"),
    [
        ("img/{preset}/{path}.{ext}", "img", "{preset}/{path}.{ext}"),
        ("{path}", ".", "{path}"),
        ("/srv/img-{preset}/{path}", "/srv", "img-{preset}/{path}"),
        ("/{path}", "/", "{path}"),
        ("s3://site/{path}?region=x", "s3://site?region=x", "{path}"),
        ("s3://site/img/{path}.{ext}", "s3://site/img", "{path}.{ext}"),
    ],
)
def test_a_template_begins_with_a_folder_or_a_bucket(
    template: str, location: str, pattern: str
) -> None:
    assert NameTemplate.parse(template) == NameTemplate(location, pattern)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("everywhere", "must be `cache`, `shared`, or a template"),
        ("img/{preset}.{ext}", "a template with {path} or {key}"),
        ("img/{name}", "{name} is no placeholder"),
        ("s3://{path}", "a bucket is written s3://bucket/prefix"),
    ],
)
def test_an_odd_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NameTemplate.parse(template)


@pytest.mark.parametrize(
    ("template", "source", "expected"),
    [
        ("{preset}/{path}.{ext}", "media:u/a.b.png", "card/u/a.b.jpg"),
        ("{path}{suffix}-{accept}", "media:u/a.png", "u/a.png-avif"),
        ("{host}/{path}", "https://a.example:81/x%20y.jpg?q=1", "a.example-81/x y"),
        ("{path}.{version}", "media:plain", "plain.3"),
    ],
)
def test_placeholders_are_filled(template: str, source: str, expected: str) -> None:
    assert name(template, source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "https://a.example/../../etc/passwd",
        "https://a.example/%2e%2e/x.jpg",
        "https://a.example//x.jpg/",
        "media:a/.hidden",
        "media:" + "x" * 300,
        "https://a.example/a%00b.jpg",
    ],
)
def test_a_source_whose_name_no_file_can_have_is_refused(source: str) -> None:
    with pytest.raises(InvalidSource, match="file"):
        name("img/{path}", source)


@given(st.text(max_size=60))
def test_no_name_leaves_its_folder(path: str) -> None:
    try:
        found = name("img/{path}.{ext}", f"media:{path}")
    except InvalidSource:
        return
    assert not found.startswith("/")
    assert all(part not in ("", ".", "..") for part in found.split("/"))


@pytest.mark.parametrize(
    ("template", "pairs", "message"),
    [
        ("{path}.{ext}", [("card", ""), ("hero", "")], "several presets"),
        ("{preset}/{path}", [("card", "avif"), ("card", "webp")], "several classes of clients"),
    ],
)
def test_renditions_of_a_source_that_would_share_a_name_are_refused(
    template: str, pairs: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        NameTemplate.parse(template).check(pairs)


def test_the_key_is_a_name_of_its_own() -> None:
    template = NameTemplate.parse("img/{key}")
    template.check([("card", "avif"), ("hero", "webp")])
    assert template.base_name(ManifestRow("media:a.jpg")) == ""
    same = NameTemplate.parse("img/{preset}/{path}.{ext}")
    names = {same.base_name(ManifestRow(f"media:a.{ext}")) for ext in ("jpg", "png")}
    assert names == {"*/a.*"}
