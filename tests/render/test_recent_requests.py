"""Who asks, and whether another did just before, in whichever process."""

from pathlib import Path

import pytest

from proxy.render.recent_requests import Asked


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_once_is_not_twice(clock: Clock) -> None:
    asked = Asked(None, clock=clock)
    assert not asked.twice("a", 5)
    asked.note("a")
    assert not asked.twice("a", 5)
    asked.note("a")
    assert asked.twice("a", 5)
    assert not asked.twice("b", 5)


def test_twice_is_twice_within_some_seconds(clock: Clock) -> None:
    asked = Asked(None, clock=clock)
    asked.note("a")
    clock.now += 5.1
    asked.note("a")
    assert not asked.twice("a", 5)
    clock.now += 4.9
    asked.note("a")
    assert asked.twice("a", 5)
    clock.now += 60  # while the source takes its time
    assert asked.twice("a", 5)


def test_others_count_too(tmp_path: Path, clock: Clock) -> None:
    one, other = (Asked(tmp_path / "asked", clock=clock) for _ in range(2))
    one.note("a")
    other.note("a")
    assert one.twice("a", 5)
    assert other.twice("a", 5)


def test_what_shares_a_place_is_not_mixed_up(clock: Clock) -> None:
    asked = Asked(None, clock=clock)
    names = [str(number) for number in range(70_000)]  # more than there are places
    for name in names:
        asked.note(name)
    assert not any(asked.twice(name, 5) for name in names)
