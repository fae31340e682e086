"""Which entries of the bucket were purged: the same log from the same purges, in whatever order."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.purge_log import STORE_SKEW_SECONDS, PurgeLog, StoreTime
from proxy.cache.purge_objects import PurgeRow, Stamp
from proxy.cache.sqlite import StorageError
from proxy.cache.store import All, ByTag, ByTagPrefix, Entry, Selector, selects

TAGS = st.text("ab", min_size=1, max_size=3)
SELECTORS: st.SearchStrategy[Selector] = st.one_of(
    st.builds(ByTag, TAGS), st.builds(ByTagPrefix, TAGS), st.just(All())
)
SECONDS = st.integers(1, 20)
PURGES = st.lists(st.tuples(SELECTORS, SECONDS, st.booleans()), max_size=12)
ENTRIES = st.builds(Entry, st.just(b""), tags=st.lists(TAGS, max_size=3).map(tuple))


def recorded(purges: list[tuple[int, tuple[Selector, int, bool]]]) -> PurgeLog:
    log = PurgeLog()
    log.open()
    for number, (selector, second, soft) in purges:
        log.merge(f"p/{number}", [PurgeRow(selector, soft)], second=second)
    return log


def everything(log: PurgeLog) -> set[PurgeRow]:
    return set(log.rows())


@given(PURGES, ENTRIES, SECONDS)
def test_an_entry_is_selected_by_the_purges_since_then(
    purges: list[tuple[Selector, int, bool]], entry: Entry, started: int
) -> None:
    expected = any(
        second > started - STORE_SKEW_SECONDS and selects(selector, entry)
        for selector, second, _ in purges
    )
    log = recorded(list(enumerate(purges)))
    assert log.selects(entry.tags, started) == expected
    log.close()


@given(PURGES, st.randoms(use_true_random=False), ENTRIES, SECONDS)
def test_order_and_repetition_make_no_difference(
    purges: list[tuple[Selector, int, bool]], random: object, entry: Entry, started: int
) -> None:
    numbered = list(enumerate(purges))
    shuffled = [*numbered, *numbered]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = recorded(numbered), recorded(shuffled)
    assert one.selects(entry.tags, started) == other.selects(entry.tags, started)
    joined = PurgeLog()
    joined.open()
    joined.merge("p/batch", list(one.rows()), second=0)
    joined.merge("p/batch", list(other.rows()), second=0)
    assert joined.selects(entry.tags, started) == one.selects(entry.tags, started)
    for log in (one, other, joined):
        log.close()


@given(st.lists(st.builds(Stamp, SECONDS, st.just(("a",))), min_size=3, max_size=3))
def test_stamps_are_joined_in_any_order(stamps: list[Stamp]) -> None:
    a, b, c = stamps
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a


@pytest.fixture
def log() -> Iterator[PurgeLog]:
    log = PurgeLog()
    log.open()
    yield log
    log.close()


def purge(tag: str, stamp: Stamp | None = None) -> PurgeRow:
    return PurgeRow(ByTag(tag), soft=False, stamp=stamp)


def test_each_purge_is_due_once(log: PurgeLog) -> None:
    log.merge("p/1", [purge("a")], second=10)
    assert list(log.due(9).values()) == [purge("a")]
    log.mark_done(log.due(9))
    log.merge("p/batch-1", [purge("a", Stamp(10, ("1",)))], second=0)
    assert not log.due(9)
    log.merge("p/2", [purge("a")], second=10)  # another one of the same second
    assert len(log.due(9)) == 1


def test_what_becomes_due_again_while_it_is_done_stays_due(log: PurgeLog) -> None:
    log.merge("p/1", [purge("a")], second=10)
    numbers = list(log.due(9))
    log.merge("p/2", [purge("a")], second=11)
    log.mark_done(numbers)
    assert len(log.due(9)) == 1


def test_a_purge_that_the_bucket_does_not_have_yet_selects_everything(log: PurgeLog) -> None:
    log.mark_done(log.add_pending("p/1", [purge("a")]))
    assert log.selects(["a"], 1e10)
    assert not log.selects(["b"], 0)
    log.merge("p/1", [purge("a")], second=10)
    assert not log.selects(["a"], 12)
    assert log.pending() == []
    assert not log.due(9)  # this machine has applied it already


def test_a_purge_of_everything_makes_older_ones_unnecessary(log: PurgeLog) -> None:
    for number in range(50):
        log.merge(f"p/{number}", [purge(f"t{number}")], second=10)
    log.merge("p/all", [PurgeRow(All(), soft=False)], second=20)
    assert len(log) == 1
    log.merge("p/late", [purge("late")], second=5)
    assert len(log) == 1


@pytest.mark.parametrize("count", [20, 20_000])
def test_a_look_up_takes_as_long_with_many_purges_as_with_few(log: PurgeLog, count: int) -> None:
    rows = [purge(f"t{number}", Stamp(5, ("x",))) for number in range(count)]
    log.merge("p/batch-1", rows, second=0)
    steps: list[None] = []
    connection = log._connection
    assert connection is not None
    connection.set_progress_handler(lambda: steps.append(None), 10)  # each 10 instructions
    assert log.selects(["tag:a", f"t{count - 1}"], 0)
    assert not log.selects(["tag:a", f"t{count - 1}"], 7)
    connection.set_progress_handler(None, 0)
    assert len(steps) < 100


def test_all_processes_of_a_machine_see_what_one_has_learned(tmp_path: Path) -> None:
    one, other = PurgeLog(tmp_path / "log"), PurgeLog(tmp_path / "log")
    for log in (one, other):
        log.open()
    one.merge("p/1", [purge("a")], second=10)
    one.observe(10, 100.0)
    assert other.selects(["a"], 11)
    assert other.store_time() == StoreTime(10, 100.0)
    for log in (one, other):
        log.close()


def test_a_damaged_file_is_made_anew_and_a_replaced_one_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"no database at all" * 100)
    log = PurgeLog(path)
    assert log.open()
    log.merge("p/1", [purge("a")], second=10)
    assert not log.open()
    for file in list(tmp_path.iterdir()):
        file.unlink()
    assert log.open()
    assert len(log) == 0
    log.close()
    with pytest.raises(StorageError, match="not open"):
        len(log)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.9995, 1.0005))
def test_the_time_of_the_bucket_is_never_later_than_it_is(
    observed: float, asked: float, rate: float
) -> None:
    """However the clocks drift, and also for work that began before the observation."""
    store = 1_700_000_000.0
    truth = store + (asked - observed) * rate
    assert StoreTime(store, observed).at(asked) <= truth + 1e-3


def test_nothing_is_known_of_the_time_of_the_bucket_at_first(log: PurgeLog) -> None:
    assert log.store_time().at(1e9) == 0.0
