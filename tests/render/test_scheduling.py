from hypothesis import given
from hypothesis import strategies as st

from proxy.render.admission import Admission
from proxy.render.scheduling import (
    PRIORITIES,
    FailureTracker,
    FairScheduler,
    Priority,
    priorities_for_slot,
)


def test_the_first_of_several_processes_serves_interactive_tasks_only() -> None:
    served = [list(priorities_for_slot(slot, 3)) for slot in range(3)]
    assert served == [["interactive"], [*PRIORITIES], [*PRIORITIES]]
    assert list(priorities_for_slot(0, 1)) == [*PRIORITIES]


def test_no_process_is_kept_free_where_nobody_waits() -> None:
    served = [list(priorities_for_slot(slot, 3, reserve_first=False)) for slot in range(3)]
    assert served == [[*PRIORITIES]] * 3
    queue = Admission(3, reserve_first=False).queue("background")
    assert queue._free == Admission(4).queue("background")._free == 6


@given(st.integers(1, 50), st.floats(0.001, 10), st.floats(0.001, 10))
def test_two_priorities_that_always_wait_get_equal_time(
    tasks: int, interactive: float, expensive: float
) -> None:
    """However long their tasks take, neither is ahead of the other by more than one task."""
    scheduler = FairScheduler(PRIORITIES)
    cost: dict[Priority, float] = {"interactive": interactive, "expensive": expensive}
    for _ in range(tasks):
        priority = scheduler.next_order()[0]
        assert priority != "background"
        scheduler.charge(priority, cost[priority])
    charged = scheduler._charged
    assert abs(charged["interactive"] - charged["expensive"]) <= max(interactive, expensive)


def test_time_that_was_charged_long_ago_hardly_counts() -> None:
    scheduler = FairScheduler(PRIORITIES)
    for _ in range(10_000):
        scheduler.charge("interactive", 1.0)
    expensive = 0
    while scheduler.next_order()[0] == "expensive":
        scheduler.charge("expensive", 1.0)
        expensive += 1
    assert expensive < 20


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_is_penalized_while_more_of_its_time_is_wasted_than_useful() -> None:
    clock = Clock()
    tracker = FailureTracker(clock)
    assert not tracker.is_penalized("a")
    tracker.record_failure("a", 10)
    assert not tracker.is_penalized("a")  # once may be chance
    tracker.record_failure("a", 10)
    assert tracker.is_penalized("a")
    assert not tracker.is_penalized("b")
    for _ in range(30):
        tracker.record_success("a", 1)
    assert not tracker.is_penalized("a")
    tracker.record_failure("a", 15)
    assert tracker.is_penalized("a")
    clock.now += 100
    assert not tracker.is_penalized("a")


def test_crashes_cost_a_second_at_least() -> None:
    tracker = FailureTracker(Clock())
    for _ in range(3):
        tracker.record_failure("a", 0.001)
        tracker.record_success("a", 0.5)
    assert tracker.is_penalized("a")


def test_only_so_many_clients_are_remembered() -> None:
    tracker = FailureTracker(Clock())
    for number in range(2000):
        for _ in range(2):
            tracker.record_failure(str(number), 10)
    assert len(tracker._records) == 1024
    assert tracker.is_penalized("1999")
    assert not tracker.is_penalized("0")
