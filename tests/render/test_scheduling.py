from hypothesis import given
from hypothesis import strategies as st

from proxy.render.protocol import LANES
from proxy.render.scheduling import Turn, lanes_of


def test_one_of_several_renderers_is_for_live_work_alone() -> None:
    assert [list(lanes_of(slot, 3)) for slot in range(3)] == [["live"], [*LANES], [*LANES]]
    assert list(lanes_of(0, 1)) == [*LANES]


@given(st.integers(1, 50), st.floats(0.001, 10), st.floats(0.001, 10))
def test_two_lanes_that_always_wait_are_given_equal_time(
    jobs: int, live: float, heavy: float
) -> None:
    """However long their jobs take, neither is ahead of the other by more than one job."""
    turn, cost = Turn(LANES), {"live": live, "heavy": heavy}
    for _ in range(jobs):
        lane = turn.order()[0]
        turn.spent(lane, cost[lane])
        assert lane != "background"
    assert abs(turn._given["live"] - turn._given["heavy"]) <= max(live, heavy)


def test_time_long_ago_gives_no_right_to_all_of_the_present() -> None:
    turn = Turn(LANES)
    for _ in range(10_000):
        turn.spent("live", 1.0)
    heavy = 0
    while turn.order()[0] == "heavy":
        turn.spent("heavy", 1.0)
        heavy += 1
    assert heavy < 20
