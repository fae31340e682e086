"""Who is next, who cannot wait, and that nobody's place is lost."""

import asyncio
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Overloaded
from proxy.render.admission import (
    MAX_RETRY_AFTER_SECONDS,
    Admission,
    AdmissionQueue,
    FairQueue,
    PaceMeter,
)
from proxy.runtime.caller import Caller, Deadline

pytestmark = pytest.mark.anyio

CLIENTS = st.sampled_from("abcde")


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(CLIENTS, max_size=60))
def test_items_of_one_client_stay_in_order_and_none_is_lost(clients: list[str]) -> None:
    queue = FairQueue[tuple[str, int]]()
    for number, client in enumerate(clients):
        queue.push(client, (client, number))
    popped = [queue.pop() for _ in clients]
    assert sorted(popped, key=lambda item: item[1]) == list(zip(clients, range(60), strict=False))
    for client in set(clients):
        numbers = [number for name, number in popped if name == client]
        assert numbers == sorted(numbers)
    with pytest.raises(IndexError):
        queue.pop()


@given(st.lists(CLIENTS, max_size=60))
def test_the_nth_item_of_a_client_waits_for_n_items_of_each_other(clients: list[str]) -> None:
    queue = FairQueue[tuple[str, int]]()
    counts = Counter[str]()
    for client in clients:
        counts[client] += 1
        queue.push(client, (client, counts[client]))
    for position in range(len(clients)):
        _, n = queue.pop()
        assert position + 1 <= n * len(counts)


@given(st.lists(st.one_of(CLIENTS.map(lambda client: ("push", client)), st.just(("pop", "")))))
def test_a_client_that_comes_late_waits_for_one_turn_of_each_other(
    steps: list[tuple[str, str]],
) -> None:
    queue = FairQueue[str]()
    for number, (step, client) in enumerate(steps):
        if step == "push":
            queue.push(client, f"{client}{number}")
        elif len(queue):
            queue.pop()
    waiting = {client for client in "abcde" if queue._turns.get(client)}
    assert queue.ahead_of("late") == len(waiting)
    queue.push("late", "late")
    for _ in waiting:
        assert queue.pop() != "late"
    assert queue.pop() == "late"


@given(
    st.lists(
        st.one_of(
            CLIENTS.map(lambda client: ("push", client)),
            st.just(("pop", "")),
            CLIENTS.map(lambda client: ("remove", client)),
        )
    ),
    CLIENTS,
)
def test_the_estimate_of_who_is_ahead_is_at_most_one_turn_too_high(
    steps: list[tuple[str, str]], client: str
) -> None:
    queue = FairQueue[int]()
    items = dict[int, str]()
    for number, (step, name) in enumerate(steps):
        if step == "push":
            queue.push(name, number)
            items[number] = name
        elif step == "pop" and items:
            del items[queue.pop()]
        elif name in items.values():
            last = max(item for item, owner in items.items() if owner == name)
            assert queue.remove(name, last)
            assert not queue.remove(name, last)
            del items[last]
        assert len(queue) == len(items)
    estimate, others = queue.ahead_of(client), set(items.values()) - {client}
    queue.push(client, -1)
    popped = [queue.pop() for _ in range(len(queue))]
    assert 0 <= estimate - popped.index(-1) <= len(others)
    assert queue._longer == []
    assert not queue._turns


def test_a_pace_is_known_after_some_observations_and_forgotten_after_a_pause() -> None:
    clock = Clock()
    meter = PaceMeter(clock)
    for _ in range(7):
        meter.observe(2.0)
        assert meter.mean() is None
    meter.observe(2.0)
    assert meter.mean() == 2.0
    for _ in range(1000):
        meter.observe(0.5)
    assert math.isclose(meter.mean() or 0, 0.5, rel_tol=0.01)
    before = meter.mean()
    meter.observe(100.0)  # the machine has paused
    assert before is not None
    assert (meter.mean() or 0) < before * 1.1
    for _ in range(300):
        meter.observe(100.0)
    assert (meter.mean() or 0) > 90
    clock.now += 61
    assert meter.mean() is None
    meter.observe(9.0)
    assert meter.mean() is None


def caller(client: str = "", seconds: float = math.inf) -> Caller:
    return Caller(client, Deadline(seconds))


async def run_tasks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def busy_queue(
    clock: Clock, *, seconds: float, waiting: int
) -> tuple[AdmissionQueue, list[float]]:
    """A queue with one place: each task takes ``seconds``, and ``waiting`` tasks wait."""
    queue = AdmissionQueue(1, clock)
    entered = [await queue.enter(caller())]

    async def wait() -> None:
        entered.append(await queue.enter(caller("other")))

    tasks = [asyncio.create_task(wait()) for _ in range(waiting + 10)]
    await run_tasks()
    for _ in range(10):
        clock.now += seconds
        queue.leave(entered.pop())
        await run_tasks()
    assert len(queue) == waiting
    assert len(tasks) == waiting + 10
    return queue, entered


async def test_a_task_that_cannot_be_finished_in_time_is_refused_at_once() -> None:
    clock = Clock()
    queue, _ = await busy_queue(clock, seconds=2.0, waiting=9)
    assert queue.wait_seconds() == pytest.approx(20)
    with pytest.raises(Overloaded, match="render queue too long: 9 tasks") as raised:
        await queue.enter(caller("other", seconds=10))
    # After 12 seconds there are 8 seconds of waiting tasks, and 2 are for the task itself.
    assert raised.value.retry_after == 12
    patient = asyncio.create_task(queue.enter(caller("other", seconds=30)))
    late = asyncio.create_task(queue.enter(caller("late", seconds=10)))  # it has its own turn
    await run_tasks()
    assert len(queue) == 11
    patient.cancel()
    late.cancel()
    await run_tasks()
    assert len(queue) == 9


async def test_the_time_to_retry_after_is_bounded() -> None:
    queue, _ = await busy_queue(Clock(), seconds=50, waiting=20)
    with pytest.raises(Overloaded) as raised:
        await queue.enter(caller("other", seconds=10))
    assert raised.value.retry_after == MAX_RETRY_AFTER_SECONDS


async def test_as_long_as_nothing_is_measured_all_are_admitted() -> None:
    queue = AdmissionQueue(1, Clock())
    await queue.enter(caller())
    tasks = [asyncio.create_task(queue.enter(caller(seconds=0.5))) for _ in range(1000)]
    await run_tasks()
    assert len(queue) == 1000
    for task in tasks:
        task.cancel()
    await run_tasks()
    assert len(queue) == 0


async def test_a_task_whose_time_is_nearly_over_leaves_its_place_to_the_next() -> None:
    clock = Clock()
    queue = AdmissionQueue(1, clock)
    for _ in range(10):  # tasks take two seconds
        entered = await queue.enter(caller())
        clock.now += 2
        queue.leave(entered)
    entered = await queue.enter(caller())
    late = asyncio.create_task(queue.enter(Caller("", Deadline(2.5))))
    await run_tasks()
    next_one = asyncio.create_task(queue.enter(caller()))
    await run_tasks()
    assert len(queue) == 2
    late_deadline = late.get_coro().cr_frame.f_locals["caller"].deadline  # type: ignore[union-attr]
    late_deadline._at -= 2
    queue.leave(entered)
    await asyncio.wait([late, next_one])
    assert isinstance(late.exception(), Overloaded)
    assert next_one.exception() is None


@given(st.data())
def test_places_are_never_lost(data: st.DataObject) -> None:
    """Whatever enters, leaves and is cancelled at whatever time: in the end all places are free."""

    async def run() -> None:
        queue = AdmissionQueue(2)
        running: list[float] = []
        waiting: list[asyncio.Task[None]] = []

        async def work(client: str) -> None:
            running.append(await queue.enter(caller(client)))

        for _ in range(data.draw(st.integers(0, 30))):
            match data.draw(st.sampled_from(("enter", "leave", "cancel", "turn"))):
                case "enter":
                    client = data.draw(CLIENTS)
                    waiting.append(asyncio.create_task(work(client)))
                case "leave" if running:
                    queue.leave(running.pop())
                case "cancel" if waiting:
                    waiting.pop(data.draw(st.integers(0, len(waiting) - 1))).cancel()
                case _:
                    await asyncio.sleep(0)
            assert len(running) <= 2
        while len(queue) or running or not all(task.done() for task in waiting):
            await asyncio.sleep(0)
            while running:
                queue.leave(running.pop())
        assert queue._free == 2

    asyncio.run(run())


def test_each_priority_has_twice_the_places_of_the_processes_that_serve_it() -> None:
    places = {
        processes: [
            Admission(processes).queue(priority)._free
            for priority in ("interactive", "expensive", "background")
        ]
        for processes in (1, 2, 4)
    }
    assert places == {1: [2, 2, 2], 2: [4, 2, 2], 4: [8, 6, 6]}
