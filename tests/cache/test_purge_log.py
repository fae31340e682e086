"""Which entries were purged: exact while there is room, and never too few."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.purge_log import PurgeLog
from proxy.cache.store import All, ByTag, ByTagPrefix, Entry, Selector, selects

TAGS = st.text("ab", min_size=1, max_size=3)
SELECTORS: st.SearchStrategy[Selector] = st.one_of(
    st.builds(ByTag, TAGS), st.builds(ByTagPrefix, TAGS), st.just(All())
)
PURGES = st.lists(st.tuples(SELECTORS, st.integers(1, 20)), max_size=20)
ENTRIES = st.builds(Entry, st.just(b""), tags=st.lists(TAGS, max_size=3).map(tuple))


def recorded(purges: list[tuple[Selector, int]], **bounds: int) -> PurgeLog:
    log = PurgeLog(**bounds)
    for selector, at in purges:
        log.record(selector, at)
    return log


@given(PURGES, ENTRIES, st.integers(1, 21))
def test_an_entry_is_selected_by_the_purges_since_then(
    purges: list[tuple[Selector, int]], entry: Entry, since: int
) -> None:
    expected = any(at >= since and selects(selector, entry) for selector, at in purges)
    assert recorded(purges).selects(entry, since) == expected


@given(PURGES, ENTRIES, st.integers(1, 21))
def test_with_too_little_room_no_purge_is_missed(
    purges: list[tuple[Selector, int]], entry: Entry, since: int
) -> None:
    if recorded(purges).selects(entry, since):
        assert recorded(purges, max_bytes=250, max_prefixes=1).selects(entry, since)


def test_memory_is_bounded_and_what_is_recent_is_exact() -> None:
    log = recorded(
        [(ByTag(f"tag:{number}"), number) for number in range(1, 5000)], max_bytes=99_999
    )
    assert len(log) < 99_999 / 120
    assert log.selects(Entry(b"", tags=("tag:4999",)), 4999)
    assert not log.selects(Entry(b"", tags=("tag:new",)), 4999)
    assert log.selects(Entry(b"", tags=("tag:new",)), 10)


def test_what_is_older_than_any_entry_is_forgotten() -> None:
    log = recorded([(ByTag("a"), 1), (ByTagPrefix("b"), 2), (ByTag("c"), 3)])
    log.forget(3)
    assert len(log) == 1
