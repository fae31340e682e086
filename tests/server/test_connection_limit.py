"""Which connections are closed to make room for others."""

import resource
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.server.connection_limit import ConnectionLimit, connections_within


@dataclass(eq=False)
class FakeConnection:
    waiting_since: float | None = None
    closed: bool = False

    def close_waiting(self) -> None:
        self.closed = True


def test_the_connection_that_waits_longest_is_closed() -> None:
    limit = ConnectionLimit(3)
    connections = [FakeConnection(since) for since in (7.0, None, 5.0, 9.0)]
    for connection in connections:
        limit.opened(connection)
    assert [connection.closed for connection in connections] == [False, False, True, False]


def test_a_new_connection_beyond_the_reserve_is_closed_while_all_are_busy() -> None:
    limit = ConnectionLimit(10)
    connections = [FakeConnection() for _ in range(10 + 64 + 3)]
    for connection in connections:
        limit.opened(connection)
    assert [connection.closed for connection in connections] == [False] * 74 + [True] * 3


def test_in_the_reserve_only_health_checks_are_answered() -> None:
    limit = ConnectionLimit(2, [b"/health/live"])
    connections = [FakeConnection() for _ in range(2)]
    for connection in connections:
        limit.opened(connection)
    assert limit.allows(b"/_/a", 0)
    more = FakeConnection()
    limit.opened(more)
    assert not limit.allows(b"/_/a", 0)
    assert not limit.allows(b"/health/lives", 0)
    assert limit.allows(b"/health/live", 0)
    assert limit.allows(b"/health/live?verbose", 0)
    limit.closed(more)
    assert limit.allows(b"/_/a", 2)
    assert not limit.allows(b"/_/a", 3)


@given(st.integers(1, 200), st.lists(st.one_of(st.none(), st.floats(0, 9)), max_size=300))
def test_no_more_than_limit_and_reserve_are_open(maximum: int, waiting: list[float | None]) -> None:
    limit = ConnectionLimit(maximum)
    connections = [FakeConnection(since) for since in waiting]
    for connection in connections:
        limit.opened(connection)
    still_open = [connection for connection in connections if not connection.closed]
    busy = [connection for connection in still_open if connection.waiting_since is None]
    assert len(still_open) <= maximum + 64
    assert len(busy) >= min(waiting.count(None), maximum)


@pytest.mark.parametrize(
    ("descriptors", "wanted", "allowed"),
    [
        (1_048_576, 4096, 4096),
        (4608, 4096, 4096),
        (4607, 4096, 4095),
        (1024, 4096, 512),
        (256, 4096, 128),
        (resource.RLIM_INFINITY, 4096, 4096),
    ],
)
def test_connections_leave_descriptors_for_other_things(
    descriptors: int, wanted: int, allowed: int
) -> None:
    assert connections_within(descriptors, wanted) == allowed
