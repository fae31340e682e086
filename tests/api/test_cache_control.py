"""The Cache-Control of responses."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.cache_control import StaleConfig, cache_control
from proxy.cache.freshness import FreshnessConfig
from proxy.originals import CacheDirectives
from proxy.sources.cache_headers import parse_cache_headers

STALE = StaleConfig(300, 600, ttl_default=1000)
OURS = "stale-while-revalidate=300, stale-if-error=600"


def sent_on(control: str, expires_in: int | None = None) -> str:
    """What a client gets where the source sends this Cache-Control."""
    metadata = parse_cache_headers(
        lambda name: control if name == "Cache-Control" else "", datetime.now(UTC)
    )
    ttl = FreshnessConfig().clamp_ttl(metadata)
    return cache_control(metadata.directives, ttl, STALE, expires_in).decode()


@pytest.mark.parametrize(
    ("source", "response"),
    [
        ("", f"public, max-age=86400, {OURS}"),
        ("max-age=60", f"public, max-age=60, {OURS}"),
        ("private", "private, max-age=0"),
        ("private, max-age=60", "private, max-age=60"),
        ("private, no-cache", "private, no-cache"),
        ("private, max-age=60, must-revalidate", "private, max-age=60, must-revalidate"),
        ("private, max-age=60, s-maxage=600", "private, max-age=60"),
        (
            "private, max-age=60, stale-while-revalidate=5",
            "private, max-age=60, stale-while-revalidate=5",
        ),
        ("no-store", "no-store"),
        ("private, no-store, max-age=60", "no-store"),
        ("no-cache", "public, no-cache"),
        ("no-cache, max-age=60", "public, no-cache"),
        ("max-age=0, must-revalidate", "public, max-age=0, must-revalidate"),
        ("max-age=60, proxy-revalidate", "public, max-age=60, proxy-revalidate"),
        ("max-age=60, s-maxage=600", "public, max-age=60, s-maxage=600"),
        ("s-maxage=60", "public, max-age=60, s-maxage=60"),
        ("s-maxage=6000", "public, max-age=1000, s-maxage=6000"),
        (
            "s-maxage=60, stale-while-revalidate=5",
            "public, max-age=60, s-maxage=60, stale-while-revalidate=5",
        ),
        (
            "max-age=60, stale-if-error=5",
            "public, max-age=60, stale-while-revalidate=300, stale-if-error=5",
        ),
        ("max-age=60, immutable", f"public, max-age=60, {OURS}, immutable"),
    ],
)
def test_directives_of_the_source_are_sent_on(source: str, response: str) -> None:
    assert sent_on(source) == response


WORDS = st.sampled_from(
    (
        "private",
        "public",
        "no-store",
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "max-age=60",
        "s-maxage=600",
        "stale-while-revalidate=50",
        "stale-if-error=70",
    )
)


@given(st.lists(WORDS, unique=True).map(", ".join), st.none() | st.integers(0, 500))
def test_no_more_is_allowed_than_by_the_source(source: str, expires_in: int | None) -> None:
    response = sent_on(source, expires_in)
    words = dict(part.partition("=")[::2] for part in response.split(", "))
    if "private" in source or ("no-store" in source and "must-understand" not in source):
        assert not words.keys() & {"public", "s-maxage"}
    if "must-revalidate" in source or "no-cache" in source:
        assert "stale" not in response
    lifetimes = [int(words.get(name, 0)) for name in ("max-age", "s-maxage")]
    stale = [int(words.get(f"stale-{name}", 0)) for name in ("while-revalidate", "if-error")]
    if expires_in is not None:
        assert max(lifetimes) + max(stale) <= expires_in


def test_s_maxage_is_not_repeated_less_strictly() -> None:
    """It forbids stale results, unless the source says for how long it allows them."""
    assert not CacheDirectives(s_maxage=True).allows_stale
    assert CacheDirectives(s_maxage=True, stale_if_error=5).allows_stale
