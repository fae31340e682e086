"""Whether something was requested twice within seconds, by whichever process."""

from pathlib import Path

import pytest

from proxy.render.recent_requests import RecentRequests


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_one_request_is_not_repeated(clock: Clock) -> None:
    requests = RecentRequests(None, clock=clock)
    assert not requests.repeated_within("a", 5)
    requests.record("a")
    assert not requests.repeated_within("a", 5)
    requests.record("a")
    assert requests.repeated_within("a", 5)
    assert not requests.repeated_within("b", 5)


def test_only_the_time_between_the_last_two_requests_counts(clock: Clock) -> None:
    requests = RecentRequests(None, clock=clock)
    requests.record("a")
    clock.now += 5.1
    requests.record("a")
    assert not requests.repeated_within("a", 5)
    clock.now += 4.9
    requests.record("a")
    assert requests.repeated_within("a", 5)
    clock.now += 60  # while the origin takes its time
    assert requests.repeated_within("a", 5)


def test_requests_of_other_processes_count_too(tmp_path: Path, clock: Clock) -> None:
    one, other = (RecentRequests(tmp_path / "requests", clock=clock) for _ in range(2))
    one.record("a")
    other.record("a")
    assert one.repeated_within("a", 5)
    assert other.repeated_within("a", 5)


def test_keys_that_share_a_slot_are_told_apart(clock: Clock) -> None:
    requests = RecentRequests(None, clock=clock)
    keys = [str(number) for number in range(70_000)]  # more than there are slots
    for key in keys:
        requests.record(key)
    assert not any(requests.repeated_within(key, 5) for key in keys)
