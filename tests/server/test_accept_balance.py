"""New connections are shared among HTTP workers."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.render.child_process import ForkedProcess
from proxy.server.accept_balance import AcceptBalance, ConnectionCounts


class Worker:
    """The balance of a worker, with its connections and its pauses counted."""

    def __init__(self, counts: ConnectionCounts, number: int) -> None:
        self.connections = self.pauses = 0
        self.balance = AcceptBalance(counts, number, self._pause)
        self.balance.start(0)

    def _pause(self, seconds: float) -> None:
        assert 0 < seconds < 0.001
        self.pauses += 1

    def accept(self) -> bool:
        """Accept a connection; whether it paused afterwards."""
        before = self.pauses
        self.connections += 1
        self.balance.opened(self.connections)
        return self.pauses > before

    def close(self) -> None:
        self.connections -= 1
        self.balance.closed(self.connections)


def test_a_worker_that_has_more_connections_than_another_pauses() -> None:
    counts = ConnectionCounts(2)
    first, second = (Worker(counts, number) for number in range(2))
    assert [first.accept() for _ in range(4)] == [False, False, True, True]
    assert not second.accept()
    assert first.accept()


def test_a_worker_alone_never_pauses() -> None:
    worker = Worker(ConnectionCounts(2), 3)
    assert not any(worker.accept() for _ in range(100))


def test_a_worker_with_as_many_connections_as_another_does_not_pause_again() -> None:
    counts = ConnectionCounts(2)
    first, second = (Worker(counts, number) for number in range(2))
    assert [first.accept() for _ in range(3)] == [False, False, True]
    first.close()
    assert not second.accept()
    assert not first.accept()


def test_nobody_waits_for_a_worker_that_stops_accepting() -> None:
    counts = ConnectionCounts(2)
    first, second = (Worker(counts, number) for number in range(2))
    second.accept()
    second.balance.stop()
    second.close()
    assert not any(first.accept() for _ in range(10))


def test_nobody_waits_for_a_worker_that_has_died() -> None:
    counts = ConnectionCounts(2)
    first, _ = (Worker(counts, number) for number in range(2))
    counts.remove(1)
    assert not any(first.accept() for _ in range(10))


def test_a_forked_worker_sees_the_connections_of_the_others() -> None:
    counts = ConnectionCounts(3)
    for number, connections in enumerate((7, 3, 5)):
        counts.set(number, connections)

    def change() -> int:
        counts.set(1, 6)
        return counts.fewest()

    assert ForkedProcess(change, pass_fds=()).wait() == 5
    assert counts.fewest() == 5


@given(st.integers(2, 8), st.integers(0, 300))
def test_the_fastest_worker_has_few_more_connections_than_the_others(
    workers: int, turns: int
) -> None:
    """It accepts all connections but those that come while it pauses, one for each other worker."""
    counts = ConnectionCounts(workers)
    fastest, *others = (Worker(counts, number) for number in range(workers))
    pauses = False
    for _ in range(turns):
        if pauses:
            for other in others:
                other.accept()
            pauses = False
        else:
            pauses = fastest.accept()
    fewest = counts.fewest()
    assert fastest.connections - fewest <= 3 + fewest // 8
