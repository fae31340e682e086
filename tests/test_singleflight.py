import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.errors import InvalidOperation, Overloaded, ProxyError
from proxy.singleflight import Locks, SingleFlight

pytestmark = pytest.mark.anyio


class Kitchen:
    """Something to make, that waits until it is let go."""

    def __init__(self) -> None:
        self.made = self.left = 0
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.kept: str | None = None

    async def make(self) -> str:
        self.made += 1
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        self.kept = f"result {self.made}"
        return self.kept

    async def look(self) -> str | None:
        return self.kept

    async def fail(self) -> str:
        await self.make()
        raise InvalidOperation("no", field="width")


async def boarded(flights: SingleFlight, key: str, count: int) -> None:
    """Wait until so many are aboard; nobody is told when somebody boards."""
    while key not in flights._flights or flights._flights[key].aboard < count:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_two_hundred_callers_make_it_once() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    callers = [asyncio.create_task(flights.do("a", kitchen.make)) for _ in range(200)]
    await boarded(flights, "a", 200)
    kitchen.go.set()
    assert set(await asyncio.gather(*callers)) == {"result 1"}
    assert kitchen.made == 1
    assert len(flights) == 0


async def test_other_keys_are_other_flights() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    kitchen.go.set()
    await asyncio.gather(*(flights.do(key, kitchen.make) for key in "abc"))
    assert kitchen.made == 3


async def test_nothing_is_remembered() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    kitchen.go.set()
    assert await flights.do("a", kitchen.make) == "result 1"
    assert await flights.do("a", kitchen.make) == "result 2"


async def test_the_first_caller_leaves_and_the_others_still_get_it() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    first, *others = (asyncio.create_task(flights.do("a", kitchen.make)) for _ in range(3))
    await boarded(flights, "a", 3)
    first.cancel()
    await boarded(flights, "a", 2)
    kitchen.go.set()
    assert await asyncio.gather(*others) == ["result 1"] * 2
    assert first.cancelled()


async def test_when_the_last_one_leaves_the_work_stops_and_the_next_begins_anew() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    callers = [asyncio.create_task(flights.do("a", kitchen.make)) for _ in range(2)]
    await boarded(flights, "a", 2)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    kitchen.go.set()
    assert await flights.do("a", kitchen.make) == "result 2"
    assert (kitchen.made, kitchen.left) == (2, 1)


async def test_a_failure_is_everybodys_but_no_one_object_and_not_remembered() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    callers = [asyncio.create_task(flights.do("a", kitchen.fail)) for _ in range(3)]
    await boarded(flights, "a", 3)
    kitchen.go.set()
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(InvalidOperation, "no")] * 3
    assert {getattr(error, "field", None) for error in errors} == {"width"}
    assert len(set(map(id, errors))) == 3
    assert await flights.do("a", kitchen.make) == "result 2"


async def test_closing_tells_the_passengers() -> None:
    kitchen, flights = Kitchen(), SingleFlight()
    caller = asyncio.create_task(flights.do("a", kitchen.make))
    await boarded(flights, "a", 1)
    await flights.close()
    with pytest.raises(Overloaded):
        await caller


def holder(locks: Path, name: str) -> "subprocess.Popen[str]":
    """Another process that holds a lock until it is told something."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from proxy.singleflight import Locks\n"
        "async def main():\n"
        "    async with Locks(Path(sys.argv[1])).held(sys.argv[2]):\n"
        "        print('held', flush=True)\n"
        "        sys.stdin.readline()\n"
        "asyncio.run(main())\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(locks), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def held_elsewhere(locks: Path, name: str) -> "Iterator[subprocess.Popen[str]]":
    with holder(locks, name) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def test_who_waited_for_another_process_looks_before_making(tmp_path: Path) -> None:
    kitchen, flights = Kitchen(), SingleFlight(tmp_path / "locks")
    kitchen.go.set()
    with held_elsewhere(tmp_path / "locks", "a") as other:
        caller = asyncio.create_task(flights.do("a", kitchen.make, kitchen.look))
        assert await flights.do("b", kitchen.make, kitchen.look) == "result 1"
        kitchen.kept = "made there"
        other.communicate("done\n")
        assert await caller == "made there"
    assert kitchen.made == 1


async def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    kitchen, flights = Kitchen(), SingleFlight(tmp_path / "locks")
    kitchen.go.set()
    with held_elsewhere(tmp_path / "locks", "a") as other:
        caller = asyncio.create_task(flights.do("a", kitchen.make, kitchen.look))
        await boarded(flights, "a", 1)
        other.kill()
        assert await caller == "result 1"


async def test_leaving_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    kitchen, flights = Kitchen(), SingleFlight(tmp_path / "locks")
    with held_elsewhere(tmp_path / "locks", "a"):
        caller = asyncio.create_task(flights.do("a", kitchen.make, kitchen.look))
        await boarded(flights, "a", 1)
        caller.cancel()
        await asyncio.wait((caller,))
    assert kitchen.made == 0


async def test_a_flight_that_was_left_does_not_take_the_next_ones_lock_along(
    tmp_path: Path,
) -> None:
    mine, other = Locks(tmp_path / "locks"), Locks(tmp_path / "locks")
    async with mine.held("a"):
        async with mine.held("a"):
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), other.held("a"):
                pass
    async with other.held("a"):
        pass


async def test_the_first_lock_of_a_machine_needs_no_folder(tmp_path: Path) -> None:
    mine, other = Locks(tmp_path / "new" / "locks"), Locks(tmp_path / "new" / "locks")
    async with mine.held("a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), other.held("a"):
                pass


async def test_without_a_file_flights_are_single_in_the_process(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    kitchen, flights = Kitchen(), SingleFlight(tmp_path / "taken" / "locks")
    callers = [asyncio.create_task(flights.do("a", kitchen.make, kitchen.look)) for _ in range(3)]
    await boarded(flights, "a", 3)
    kitchen.go.set()
    assert set(await asyncio.gather(*callers)) == {"result 1"}


def test_every_failure_can_be_copied_for_its_followers() -> None:
    import copy

    def below(kind: type[ProxyError]) -> list[type[ProxyError]]:
        return [kind, *(deep for sub in kind.__subclasses__() for deep in below(sub))]

    travelling = [kind for kind in below(ProxyError) if kind.__module__ == "proxy.errors"]
    for kind in travelling:
        error = copy.copy(kind("sentence", detail="detail"))
        assert (str(error), error.detail) == ("sentence", "detail")


async def is_shared(locks: Locks, path: Path) -> bool:
    """Whether another process would wait for what is held here."""
    async with locks.held("a"):
        if not path.exists():
            return False
        try:
            async with asyncio.timeout(0), Locks(path).held("a"):
                return False
        except TimeoutError:
            return True


async def test_a_file_that_could_not_be_had_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else is where its folder should be, and later it is not."""
    caplog.set_level("INFO")
    now, folder = 0.0, tmp_path / "folder"
    folder.touch()
    path = folder / "locks"
    mine = Locks(path, lambda: now)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        assert not await is_shared(mine, path)
        now += pause
    assert not await is_shared(mine, path)
    folder.unlink()
    assert not await is_shared(mine, path)  # not before its time
    now += 60
    assert await is_shared(mine, path)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_folder_that_is_read_only_and_then_is_not(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "ro", "none", str(tmp_path)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: ASYNC221 - at once
        pytest.skip("file systems cannot be mounted here")
    try:
        now, path = 0.0, tmp_path / "cache" / "flights"
        mine = Locks(path, lambda: now)
        assert not await is_shared(mine, path)
        subprocess.run([mount, "-o", "remount,rw", str(tmp_path)], check=True)  # noqa: ASYNC221 - at once
        now += 1
        assert await is_shared(mine, path)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)  # noqa: ASYNC221, S607
