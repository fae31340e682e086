from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.freshness import (
    Expired,
    Fresh,
    FreshnessConfig,
    Record,
    Refusal,
    Refused,
    Stale,
    Verdict,
    failed,
    judge,
    pause,
    refused,
    renewed,
)
from proxy.originals import OriginMetadata

RULES = FreshnessConfig(stale_while_revalidate=1000, stale_if_error=5000, ttl_jitter=0.1)
NOW = 1_000_000.0
KEY = "00000000" * 8  # ends are not spread for this one
DOWN = Refusal("SourceFailed", "the source could not be reached")
GONE = Refusal("SourceNotFound", "nothing there")


def record(lifetime: float = 600, *, asked_at: float = NOW, digest: str = "a") -> Record:
    return renewed(None, digest, OriginMetadata(ttl=lifetime), asked_at, RULES)


def verdict(
    known: Record | None,
    after: float,
    made_of: str | None = "a",
    *,
    marked: float = 0.0,
    key: str = KEY,
    rules: FreshnessConfig = RULES,
) -> Verdict:
    return judge(known, key=key, made_of=made_of, marked=marked, now=NOW + after, rules=rules)


def test_fresh_until_the_end_of_its_lifetime() -> None:
    assert verdict(record(600), 599) == Fresh()
    assert verdict(record(600), 600) == Stale(due=True)


def test_a_floor_and_a_ceiling() -> None:
    assert RULES.clamp_ttl(0) == 60
    assert RULES.clamp_ttl(1e12) == 31_536_000
    assert RULES.clamp_ttl(600) == 600
    assert RULES.clamp_ttl(None) == 86_400


def test_the_floor_goes_before_the_ceiling() -> None:
    assert FreshnessConfig(ttl_min=100, ttl_max=10).clamp_ttl(50) == 100


def test_stale_is_served_and_renewed_as_long_as_allowed() -> None:
    assert verdict(record(600), 1600) == Stale(due=True)
    assert verdict(record(600), 1601) == Expired(usable=True)
    assert verdict(record(600), 5600) == Expired(usable=True)
    assert verdict(record(600), 5601) == Expired(usable=False)


def test_nothing_kept_must_be_made() -> None:
    assert verdict(None, 0) == Expired(usable=False)
    assert verdict(record(600), 1, made_of=None) == Expired(usable=False)


def test_what_is_from_the_future_is_not_believed() -> None:
    assert verdict(record(asked_at=NOW + 3600), 0) == Expired(usable=False)
    assert verdict(record(asked_at=NOW + 1), 0) == Fresh()


def test_another_original_makes_all_sizes_stale_since_it_came() -> None:
    before = record(600)
    changed = renewed(before, "b", OriginMetadata(ttl=600), NOW + 700, RULES)
    confirmed = renewed(changed, "b", OriginMetadata(ttl=600), NOW + 1200, RULES)
    assert confirmed.changed_at == NOW + 700
    assert verdict(confirmed, 1300, made_of="b") == Fresh()
    assert verdict(confirmed, 1300, made_of="a") == Stale(due=True)
    assert verdict(confirmed, 1701, made_of="a") == Expired(usable=True)


def test_a_soft_purge_makes_stale_until_the_source_was_asked() -> None:
    marked = NOW + 10
    assert verdict(record(600), 20, marked=marked) == Stale(due=True)
    assert verdict(record(600, asked_at=NOW + 15), 20, marked=marked) == Fresh()


def test_a_source_that_is_down_is_left_alone_between_tries() -> None:
    down = failed(record(600), DOWN, NOW + 700)
    assert verdict(down, 701) == Stale(due=False)
    assert verdict(down, 706) == Stale(due=True)
    again = failed(down, DOWN, NOW + 706)
    assert verdict(again, 715) == Stale(due=False)
    assert verdict(again, 717) == Stale(due=True)


def test_what_is_kept_stands_in_for_a_source_that_is_down_within_the_bound() -> None:
    down = failed(record(600), DOWN, NOW + 5590)
    assert verdict(down, 5600) == Expired(usable=True)
    assert verdict(down, 5592) == Stale(due=False)
    late = failed(record(600), DOWN, NOW + 5699)
    assert verdict(late, 5700) == Refused(DOWN)
    assert verdict(late, 5705) == Expired(usable=False)


def test_the_bound_for_failures_holds_where_it_is_the_shorter_one() -> None:
    rules = FreshnessConfig(stale_while_revalidate=5000, stale_if_error=100, ttl_jitter=0)
    assert verdict(record(600), 1000, rules=rules) == Stale(due=True)
    down = failed(record(600), DOWN, NOW + 1000)
    assert verdict(down, 1001, rules=rules) == Refused(DOWN)


def test_a_purge_lets_the_source_be_asked_at_once() -> None:
    down = failed(record(600), DOWN, NOW + 700)
    assert verdict(down, 702, marked=NOW + 701) == Stale(due=True)


def test_a_source_that_never_answered_is_left_alone_too() -> None:
    down = failed(None, DOWN, NOW)
    assert verdict(down, 1, made_of=None) == Refused(DOWN)
    assert verdict(down, 6, made_of=None) == Expired(usable=False)
    assert failed(down, DOWN, NOW).failures == 2


def test_a_source_that_says_there_is_nothing_is_believed_for_seconds() -> None:
    gone = refused(GONE, NOW, RULES)
    assert verdict(gone, 9) == Refused(GONE)
    assert verdict(gone, 11) == Expired(usable=False)
    assert verdict(gone, 9, marked=NOW + 8) == Expired(usable=False)


def test_what_the_source_took_back_is_not_served_again_while_it_is_down() -> None:
    down = failed(refused(GONE, NOW, RULES), DOWN, NOW + 20)
    assert verdict(down, 21) == Refused(DOWN)
    assert verdict(down, 26) == Expired(usable=False)


def test_the_source_s_word_ends_all_failures() -> None:
    back = renewed(failed(record(600), DOWN, NOW + 700), "a", OriginMetadata(), NOW + 800, RULES)
    assert (back.failures, back.refusal, back.changed_at) == (0, None, NOW)


keys = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
times = st.floats(0, 1e5)


@given(times, st.floats(0, 1e4), keys)
def test_ends_are_spread_within_the_jitter(after: float, lifetime: float, key: str) -> None:
    known = record(lifetime)
    found = verdict(known, after, key=key)
    if after < known.lifetime * 0.9:
        assert found == Fresh()
    if after >= known.lifetime:
        assert found != Fresh()


@given(times, times, keys, st.sampled_from(["a", "b", None]), st.integers(0, 5))
def test_time_alone_never_makes_anything_fresher(
    sooner: float, later: float, key: str, made_of: str | None, failures: int
) -> None:
    known = record(600)
    for _ in range(failures):
        known = failed(known, DOWN, NOW + sooner)
    sooner, later = sorted((sooner, later))
    before = verdict(known, sooner, made_of, key=key)
    after = verdict(known, later, made_of, key=key)
    if before != Fresh():
        assert after != Fresh()
    if before == Expired(usable=False):
        assert after in (Expired(usable=False), Refused(DOWN))


@given(st.integers(0, 10_000))
def test_pauses_grow_to_a_minute(failures: int) -> None:
    assert pause(failures, RULES) <= pause(failures + 1, RULES) <= 60
