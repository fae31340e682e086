from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.freshness import (
    CachedError,
    Expired,
    Fresh,
    Freshness,
    FreshnessConfig,
    NegativeHit,
    OriginRecord,
    Stale,
    backoff,
    evaluate,
    record_failure,
    record_fetch,
    record_negative_answer,
)
from proxy.originals import OriginMetadata

CONFIG = FreshnessConfig(stale_while_revalidate=1000, stale_if_error=5000, ttl_jitter=0.1)
NOW = 1_000_000.0
KEY = "00000000" * 8  # ends are not spread for this one
DOWN = CachedError("SourceFailed", "the source could not be reached")
GONE = CachedError("SourceNotFound", "nothing there")


def make_record(ttl: float = 600, *, validated_at: float = NOW, digest: str = "a") -> OriginRecord:
    return record_fetch(None, digest, OriginMetadata(ttl=ttl), validated_at, CONFIG)


def freshness(
    record: OriginRecord | None,
    after: float,
    original_digest: str | None = "a",
    *,
    soft_purged_at: float = 0.0,
    key: str = KEY,
    config: FreshnessConfig = CONFIG,
) -> Freshness:
    return evaluate(
        record,
        key=key,
        original_digest=original_digest,
        soft_purged_at=soft_purged_at,
        now=NOW + after,
        config=config,
    )


def test_fresh_until_the_ttl_ends() -> None:
    assert freshness(make_record(600), 599) == Fresh()
    assert freshness(make_record(600), 600) == Stale(revalidate=True)


def clamp(ttl: float | None, config: FreshnessConfig = CONFIG) -> float:
    return config.clamp_ttl(OriginMetadata(ttl=ttl))


def test_the_ttl_is_bounded() -> None:
    assert clamp(0, FreshnessConfig(ttl_min=60)) == 60
    assert clamp(0) == 0
    assert clamp(1e12) == 31_536_000
    assert clamp(600) == 600
    assert clamp(None) == 86_400


def test_the_minimum_ttl_wins_over_the_maximum() -> None:
    assert clamp(50, FreshnessConfig(ttl_min=100, ttl_max=10)) == 100


def test_stale_is_served_and_refreshed_as_long_as_allowed() -> None:
    assert freshness(make_record(600), 1600) == Stale(revalidate=True)
    assert freshness(make_record(600), 1601) == Expired(usable_on_error=True)
    assert freshness(make_record(600), 5600) == Expired(usable_on_error=True)
    assert freshness(make_record(600), 5601) == Expired(usable_on_error=False)


def test_without_a_cached_result_the_source_is_asked() -> None:
    assert freshness(None, 0) == Expired(usable_on_error=False)
    assert freshness(make_record(600), 1, original_digest=None) == Expired(usable_on_error=False)


def test_a_record_from_the_future_is_ignored() -> None:
    assert freshness(make_record(validated_at=NOW + 3600), 0) == Expired(usable_on_error=False)
    assert freshness(make_record(validated_at=NOW + 1), 0) == Fresh()


def test_a_changed_original_makes_all_sizes_stale_since_the_change() -> None:
    before = make_record(600)
    changed = record_fetch(before, "b", OriginMetadata(ttl=600), NOW + 700, CONFIG)
    confirmed = record_fetch(changed, "b", OriginMetadata(ttl=600), NOW + 1200, CONFIG)
    assert confirmed.changed_at == NOW + 700
    assert freshness(confirmed, 1300, original_digest="b") == Fresh()
    assert freshness(confirmed, 1300, original_digest="a") == Stale(revalidate=True)
    assert freshness(confirmed, 1701, original_digest="a") == Expired(usable_on_error=True)


def test_a_soft_purge_makes_stale_until_the_source_is_validated() -> None:
    marked = NOW + 10
    assert freshness(make_record(600), 20, soft_purged_at=marked) == Stale(revalidate=True)
    assert freshness(make_record(600, validated_at=NOW + 15), 20, soft_purged_at=marked) == Fresh()


def test_a_source_that_is_down_is_not_asked_during_the_backoff() -> None:
    down = record_failure(make_record(600), DOWN, NOW + 700)
    assert freshness(down, 701) == Stale(revalidate=False)
    assert freshness(down, 706) == Stale(revalidate=True)
    again = record_failure(down, DOWN, NOW + 706)
    assert freshness(again, 715) == Stale(revalidate=False)
    assert freshness(again, 717) == Stale(revalidate=True)


def test_the_cached_result_is_usable_while_the_source_is_down_within_the_bound() -> None:
    down = record_failure(make_record(600), DOWN, NOW + 5590)
    assert freshness(down, 5600) == Expired(usable_on_error=True)
    assert freshness(down, 5592) == Stale(revalidate=False)
    late = record_failure(make_record(600), DOWN, NOW + 5699)
    assert freshness(late, 5700) == NegativeHit(DOWN)
    assert freshness(late, 5705) == Expired(usable_on_error=False)


def test_stale_if_error_wins_where_it_is_shorter() -> None:
    rules = FreshnessConfig(stale_while_revalidate=5000, stale_if_error=100, ttl_jitter=0)
    assert freshness(make_record(600), 1000, config=rules) == Stale(revalidate=True)
    down = record_failure(make_record(600), DOWN, NOW + 1000)
    assert freshness(down, 1001, config=rules) == NegativeHit(DOWN)


def test_a_soft_purge_ends_the_backoff() -> None:
    down = record_failure(make_record(600), DOWN, NOW + 700)
    assert freshness(down, 702, soft_purged_at=NOW + 701) == Stale(revalidate=True)


def test_backoff_applies_to_a_source_that_never_answered() -> None:
    down = record_failure(None, DOWN, NOW)
    assert freshness(down, 1, original_digest=None) == NegativeHit(DOWN)
    assert freshness(down, 6, original_digest=None) == Expired(usable_on_error=False)
    assert record_failure(down, DOWN, NOW).failures == 2


def test_a_negative_answer_is_cached_for_the_negative_ttl() -> None:
    gone = record_negative_answer(GONE, NOW, CONFIG)
    assert freshness(gone, 9) == NegativeHit(GONE)
    assert freshness(gone, 11) == Expired(usable_on_error=False)
    assert freshness(gone, 9, soft_purged_at=NOW + 8) == Expired(usable_on_error=False)


def test_a_removed_original_is_not_served_again_while_the_source_is_down() -> None:
    down = record_failure(record_negative_answer(GONE, NOW, CONFIG), DOWN, NOW + 20)
    assert freshness(down, 21) == NegativeHit(DOWN)
    assert freshness(down, 26) == Expired(usable_on_error=False)


def test_an_answer_resets_the_failures() -> None:
    back = record_fetch(
        record_failure(make_record(600), DOWN, NOW + 700), "a", OriginMetadata(), NOW + 800, CONFIG
    )
    assert (back.failures, back.error, back.changed_at) == (0, None, NOW)


keys = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
times = st.floats(0, 1e5)


@given(times, st.floats(0.001, 1e4), keys)
def test_expiry_is_spread_within_the_jitter(after: float, lifetime: float, key: str) -> None:
    known = make_record(lifetime)
    found = freshness(known, after, key=key)
    if after < known.ttl * 0.9 - 1e-6:  # to which Unix seconds are exact
        assert found == Fresh()
    if after >= known.ttl:
        assert found != Fresh()


@given(times, times, keys, st.sampled_from(["a", "b", None]), st.integers(0, 5))
def test_freshness_never_improves_with_time(
    sooner: float, later: float, key: str, made_of: str | None, failures: int
) -> None:
    known = make_record(600)
    for _ in range(failures):
        known = record_failure(known, DOWN, NOW + sooner)
    sooner, later = sorted((sooner, later))
    before = freshness(known, sooner, made_of, key=key)
    after = freshness(known, later, made_of, key=key)
    if before != Fresh():
        assert after != Fresh()
    if before == Expired(usable_on_error=False):
        assert after in (Expired(usable_on_error=False), NegativeHit(DOWN))


@given(st.integers(0, 10_000))
def test_the_backoff_grows_to_a_minute(failures: int) -> None:
    assert backoff(failures, CONFIG) <= backoff(failures + 1, CONFIG) <= 60


def test_an_attempt_dated_in_the_future_delays_no_other() -> None:
    record = record_failure(make_record(600), DOWN, NOW + 86_400)
    assert freshness(record, 700) == Stale(revalidate=True)
    assert freshness(record_failure(None, DOWN, NOW + 86_400), 0, None) == Expired(
        usable_on_error=False
    )


def test_a_soft_purge_dated_in_the_future_is_one_of_now() -> None:
    assert freshness(make_record(600), 1, soft_purged_at=NOW + 86_400) == Stale(revalidate=True)
