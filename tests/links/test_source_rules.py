"""The sources of a dialect: base URL, replaced beginnings, allowed sources."""

from typing import Any

import pytest

from proxy.errors import ConfigError, InvalidSource
from proxy.links.source_encoding import SourceEncoder
from proxy.links.source_rules import SourceRules, SourceRulesConfig

ALIASES = ("media", "bucket")


def rules(**config: Any) -> SourceRules:
    return SourceRules(SourceRulesConfig(**config), "test", SourceEncoder(ALIASES), ALIASES)


PREFIXES = {
    "local:///": "media:",
    "local:///shop/": "media:products/",
    "s3://photos/": "bucket:",
    "mycdn:": "https://cdn.example/",
}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("https://a.example/x y", "https://a.example/x%20y"),
        ("HTTPS://a.example/x", "https://a.example/x"),
        ("local:///a/b.jpg", "media:a/b.jpg"),
        ("local:///shop/b.jpg", "media:products/b.jpg"),
        ("s3://photos/b.jpg", "bucket:b.jpg"),
        ("mycdn:b.jpg", "https://cdn.example/b.jpg"),
        ("media:a.jpg", "media:a.jpg"),
    ],
)
def test_the_longest_beginning_is_replaced(text: str, source: str) -> None:
    assert rules(source_prefixes=PREFIXES).resolve(text) == source


def test_a_base_url_is_put_in_front_of_what_does_not_begin_with_it() -> None:
    based = rules(base_url="https://cdn.example/")
    assert based.resolve("a/b.jpg") == "https://cdn.example/a/b.jpg"
    assert based.resolve("https://cdn.example/b.jpg") == "https://cdn.example/b.jpg"
    assert rules(base_url="media:").resolve("a/b.jpg") == "media:a/b.jpg"
    local = rules(base_url="local:///", source_prefixes=PREFIXES)
    assert local.resolve("b.jpg") == "media:b.jpg"


def test_only_allowed_sources_are_accepted() -> None:
    allowing = rules(allow_sources=("https://*.example/", "local:///"), source_prefixes=PREFIXES)
    assert allowing.resolve("https://a.example/b") == "https://a.example/b"
    assert allowing.resolve("local:///a") == "media:a"
    for text in ("https://a.example.evil/b", "https://evil/a.example/", "media:a", "s3://photos/a"):
        with pytest.raises(InvalidSource, match="FRAMEKEEP_TEST_ALLOW_SOURCES"):
            allowing.resolve(text)


def test_an_alias_is_open_only_where_a_setting_of_the_dialect_names_it() -> None:
    for closed in (rules(), rules(source_prefixes={"local:///": "bucket:"})):
        with pytest.raises(InvalidSource, match="this alias is not open to these links"):
            closed.resolve("media:secret.jpg")
    for config in (
        {"base_url": "media:"},
        {"allow_sources": ("media:public/",)},
        {"source_prefixes": {"local:///": "media:"}},
    ):
        assert rules(**config).resolve("media:public/a.jpg") == "media:public/a.jpg"


def test_a_scheme_that_nothing_replaces_names_the_setting() -> None:
    with pytest.raises(InvalidSource, match=r"nothing is set up for 's3'.*TEST_SOURCE_PREFIXES"):
        rules().resolve("s3://photos/a.jpg")
    with pytest.raises(InvalidSource, match="ALIAS:path"):
        rules().resolve("photos/a.jpg")


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ({"base_url": "other:"}, "FRAMEKEEP_TEST_BASE_URL"),
        ({"source_prefixes": {"local:///": "other:"}}, "FRAMEKEEP_TEST_SOURCE_PREFIXES"),
        ({"source_prefixes": {"": "media:"}}, "FRAMEKEEP_TEST_SOURCE_PREFIXES"),
    ],
)
def test_a_rule_that_leads_to_no_source_stops_the_start(
    config: dict[str, Any], variable: str
) -> None:
    with pytest.raises(ConfigError, match=variable):
        rules(**config)
