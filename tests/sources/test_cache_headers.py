"""What an answer's headers say about its body's life."""

from datetime import UTC, datetime

import pytest

from proxy.originals import OriginMetadata, Validators
from proxy.sources.cache_headers import parse_cache_headers

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def said(**headers: str) -> OriginMetadata:
    by_name = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return parse_cache_headers(lambda name: by_name.get(name.lower(), ""), NOW)


def test_nothing_said() -> None:
    assert said() == OriginMetadata()


@pytest.mark.parametrize(
    ("control", "lifetime"),
    [
        ("max-age=60", 60),
        ("public, MAX-AGE = 60", 60),
        ('max-age="60"', 60),
        ("max-age=60, s-maxage=5", 5),
        ("s-maxage=0, max-age=60", 0),
        ("max-age=60, max-age=90", 60),
        ("no-store", 0),
        ("no-cache, max-age=60", 0),
        ('private="x-a, x-b", max-age=60', 0),
        ("max-age=99999999999999999999", 2**31),
        ("max-age=soon", 0),
        ("max-age=-1", 0),
        ("max-age", 0),
        ("public", None),
        ("immutable, stale-while-revalidate=9", None),
        (",,=,;max-age=60", 60),
    ],
)
def test_cache_control(control: str, lifetime: float | None) -> None:
    assert said(cache_control=control).ttl == lifetime


def test_what_has_aged_on_its_way_lives_shorter() -> None:
    assert said(cache_control="max-age=60", age="20").ttl == 40
    assert said(cache_control="max-age=60", age="80").ttl == 0
    assert said(cache_control="max-age=60", age="old").ttl == 60


@pytest.mark.parametrize(
    ("expires", "date", "lifetime"),
    [
        ("Thu, 01 Jan 2026 12:01:00 GMT", "", 60),
        ("Thu, 01 Jan 2026 12:01:00 GMT", "Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 12:01:00 GMT", "never", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", "", 0),
        ("Thu, 01 Jan 2026 12:01:00", "", 60),
        ("0", "", 0),
        ("-1", "", 0),
        ("Thu, 99 Jan 99999999999 12:01:00 GMT", "", 0),
    ],
)
def test_expires(expires: str, date: str, lifetime: float) -> None:
    assert said(expires=expires, date=date).ttl == lifetime
    assert said(expires=expires, cache_control="max-age=7").ttl == 7


def test_validators_are_kept_as_they_came() -> None:
    answer = said(etag='W/"a b"', last_modified="Thu, 01 Jan 2026 11:00:00 GMT")
    assert answer.validators == Validators('W/"a b"', "Thu, 01 Jan 2026 11:00:00 GMT")


def test_tags_of_both_headers_each_once() -> None:
    answer = said(cache_tag="a, b c,,a", surrogate_key=" d  e a")
    assert answer.tags == ("a", "b c", "d", "e")


@pytest.mark.parametrize(
    "control",
    ["a" * 500_000 + " b", "a" + " " * 500_000 + "b", ',a="\\"' * 50_000, "max-age=60," * 50_000],
)
def test_headers_made_to_keep_us_busy_do_not(control: str) -> None:
    assert said(cache_control=control).ttl in (None, 60)


@pytest.mark.parametrize("text", ["yesterday", "Sat, 21 Nov 2026 06:00:00 GMT\x01", "\udcff", "ä"])
def test_what_is_no_date_is_not_told_as_one(text: str) -> None:
    assert said(last_modified=text).validators.last_modified == ""
