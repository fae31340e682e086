"""Response headers of a source: validators, TTL, tags."""

from datetime import UTC, datetime

import pytest

from proxy.originals import CacheDirectives, OriginMetadata, Validators
from proxy.sources.cache_headers import parse_cache_headers

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def parse(**headers: str) -> OriginMetadata:
    by_name = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return parse_cache_headers(lambda name: by_name.get(name.lower(), ""), NOW)


def test_no_headers() -> None:
    assert parse() == OriginMetadata()


@pytest.mark.parametrize(
    ("control", "ttl"),
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
def test_cache_control(control: str, ttl: float | None) -> None:
    assert parse(cache_control=control).ttl == ttl


@pytest.mark.parametrize(
    ("control", "directives"),
    [
        ("public", CacheDirectives()),
        ("PRIVATE, max-age=5", CacheDirectives(is_private=True, max_age=5)),
        ('private="set-cookie"', CacheDirectives(is_private=True)),
        ("no-store, private", CacheDirectives(no_store=True, is_private=True)),
        ("must-understand, no-store", CacheDirectives()),
        ("no-cache, max-age=5", CacheDirectives(no_cache=True)),
        ("max-age=0, must-revalidate", CacheDirectives(must_revalidate=True)),
        ("proxy-revalidate", CacheDirectives(proxy_revalidate=True)),
        ("s-maxage=9, max-age=5", CacheDirectives(s_maxage=True, max_age=5)),
        ("max-age=5, immutable", CacheDirectives(immutable=True)),
        (
            "stale-while-revalidate=9, stale-if-error=7",
            CacheDirectives(stale_while_revalidate=9, stale_if_error=7),
        ),
        ("x-private, no-stores, privat", CacheDirectives()),
        ("a=b," * 3000 + "private", CacheDirectives(is_private=True)),
    ],
)
def test_directives_for_a_shared_cache(control: str, directives: CacheDirectives) -> None:
    assert parse(cache_control=control).directives == directives


@pytest.mark.parametrize("vary", ["*", "Accept, *"])
def test_what_varies_always_is_validated_always(vary: str) -> None:
    metadata = parse(vary=vary, cache_control="max-age=60")
    assert (metadata.ttl, metadata.directives.no_cache) == (0, True)


def test_other_headers_of_requests_and_cookies_do_not_limit_caching() -> None:
    metadata = parse(vary="Accept, Cookie, Origin", set_cookie="a=b", cache_control="max-age=60")
    assert (metadata.ttl, metadata.directives) == (60, CacheDirectives())


def test_a_validator_of_many_bytes_is_not_kept() -> None:
    assert parse(etag=f'"{"a" * 5000}"').validators == Validators()


def test_age_shortens_the_ttl() -> None:
    assert parse(cache_control="max-age=60", age="20").ttl == 40
    assert parse(cache_control="max-age=60", age="80").ttl == 0
    assert parse(cache_control="max-age=60", age="old").ttl == 60
    assert parse(cache_control="max-age=60", age="20, 50").ttl == 40
    assert parse(expires="Thu, 01 Jan 2026 12:01:00 GMT", age="20").ttl == 40


@pytest.mark.parametrize(
    ("expires", "date", "ttl"),
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
def test_expires(expires: str, date: str, ttl: float) -> None:
    assert parse(expires=expires, date=date).ttl == ttl
    assert parse(expires=expires, cache_control="max-age=7").ttl == 7


def test_validators_are_kept_verbatim() -> None:
    metadata = parse(etag='W/"a b"', last_modified="Thu, 01 Jan 2026 11:00:00 GMT")
    assert metadata.validators == Validators('W/"a b"', "Thu, 01 Jan 2026 11:00:00 GMT")


def test_tags_of_both_headers_without_duplicates() -> None:
    metadata = parse(cache_tag="a, b c,,a", surrogate_key=" d  e a")
    assert metadata.tags == ("a", "b c", "d", "e")


@pytest.mark.parametrize(
    "control",
    ["a" * 500_000 + " b", "a" + " " * 500_000 + "b", ',a="\\"' * 50_000, "max-age=60," * 50_000],
)
def test_malicious_headers_are_parsed_quickly(control: str) -> None:
    assert parse(cache_control=control).ttl in (None, 60)


@pytest.mark.parametrize("text", ["yesterday", "Sat, 21 Nov 2026 06:00:00 GMT\x01", "\udcff", "ä"])
def test_an_invalid_date_is_dropped(text: str) -> None:
    assert parse(last_modified=text).validators.last_modified == ""
