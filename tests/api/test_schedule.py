"""Whose webhook delivery is worked on next."""

import asyncio

import pytest

from proxy.api.transform.queue import ScheduledItem
from proxy.api.transform.receiver_backoff import ReceiverBackoff
from proxy.api.transform.schedule import Schedule

pytestmark = pytest.mark.anyio


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def item(client: str, receiver: str, number: int, due_at: float = 0.0) -> ScheduledItem:
    return ScheduledItem(due_at + number / 1000, f"{client}-{receiver}-{number}")


async def take_all(schedule: Schedule) -> list[ScheduledItem]:
    """What is begun now, while nothing ends."""
    taken: list[ScheduledItem] = []
    try:
        while True:
            async with asyncio.timeout(0):
                taken.append(await schedule.next_due())
    except TimeoutError:
        return taken


async def test_clients_and_receivers_take_turns() -> None:
    schedule = Schedule(100, max_per_client=9, max_per_receiver=9)
    for number in range(3):
        schedule.add(item("a", "x", number))
    schedule.add(item("a", "y", 3))
    schedule.add(item("b", "x", 4))
    assert [taken.name for taken in await take_all(schedule)] == [
        *("a-x-0", "b-x-4", "a-y-3", "a-x-1", "a-x-2")
    ]


async def test_a_silent_receiver_holds_two_places_and_a_client_four() -> None:
    schedule = Schedule(10_000)
    for number in range(1000):
        schedule.add(item("greedy", "silent", number))
    for number in range(1000, 1010):
        schedule.add(item("greedy", f"r{number}", number))
    schedule.add(item("other", "silent", 1, 50.0))
    schedule.add(item("other", "fast", 2, 50.0))
    taken = await take_all(schedule)
    assert sum(each.receiver == "silent" for each in taken) == 2
    assert sum(each.client == "greedy" for each in taken) == 4
    assert "other-fast-2" in [each.name for each in taken]
    for each in taken:
        schedule.done(each)
    assert len(await take_all(schedule)) >= 4


async def test_deliveries_to_a_receiver_that_is_held_wait() -> None:
    clock = Clock()
    schedule = Schedule(100, clock=clock)
    schedule.add(item("a", "x", 1))
    schedule.add(item("a", "y", 2))
    schedule.hold("x", 10)
    assert [taken.receiver for taken in await take_all(schedule)] == ["y"]
    clock.now += 9
    assert await take_all(schedule) == []
    clock.now += 2
    assert [taken.receiver for taken in await take_all(schedule)] == ["x"]


async def test_a_client_has_at_most_half_of_the_names() -> None:
    schedule = Schedule(10)
    for number in range(20):
        schedule.add(item("greedy", "x", number))
    assert len(schedule) == 5
    schedule.add(item("other", "x", 1))
    assert len(schedule) == 6


async def test_a_waiting_call_gets_a_place_as_soon_as_it_is_free() -> None:
    schedule = Schedule(100, max_per_receiver=1)
    for number in range(2):
        schedule.add(item("a", "x", number))
    first = await schedule.next_due()
    second = asyncio.create_task(schedule.next_due())
    await asyncio.sleep(0)
    assert not second.done()
    schedule.done(first)
    assert (await second).name == "a-x-1"


def test_the_pause_doubles_until_there_is_an_answer() -> None:
    backoff = ReceiverBackoff(1.0)
    assert [backoff.pause_after("x", status) for status in (None, 503, 429)] == [1, 2, 4]
    assert backoff.pause_after("y", None) == 1
    assert backoff.pause_after("x", 500) == 0
    assert backoff.pause_after("x", None) == 1
    for _ in range(40):
        pause = backoff.pause_after("z", None)
    assert pause == 300
