from hypothesis import given
from hypothesis import strategies as st

from proxy.render.scheduling import PRIORITIES, FairScheduler, Priority, priorities_for_slot


def test_the_first_of_several_processes_serves_interactive_tasks_only() -> None:
    served = [list(priorities_for_slot(slot, 3)) for slot in range(3)]
    assert served == [["interactive"], [*PRIORITIES], [*PRIORITIES]]
    assert list(priorities_for_slot(0, 1)) == [*PRIORITIES]


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
