import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.errors import InvalidOperation, Overloaded, ProxyError
from proxy.runtime.caller import Caller, Deadline, current_caller, serving
from proxy.runtime.singleflight import FileLocks, SingleFlight

pytestmark = pytest.mark.anyio


class Work:
    """A function that counts its calls and waits for ``go``."""

    def __init__(self) -> None:
        self.calls = self.cancelled = 0
        self.started, self.go = asyncio.Event(), asyncio.Event()
        self.stored: str | None = None

    async def compute(self) -> str:
        self.calls += 1
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.stored = f"result {self.calls}"
        return self.stored

    async def recheck(self) -> str | None:
        return self.stored

    async def fail(self) -> str:
        await self.compute()
        raise InvalidOperation("no", field="width")


async def wait_for_callers(single_flight: SingleFlight, key: str, count: int) -> None:
    calls = single_flight._calls
    while key not in calls or calls[key].waiters < count:  # noqa: ASYNC110 - no event exists
        await asyncio.sleep(0)


async def test_two_hundred_callers_are_one_call() -> None:
    work, single_flight = Work(), SingleFlight()
    callers = [asyncio.create_task(single_flight.do("a", work.compute)) for _ in range(200)]
    await wait_for_callers(single_flight, "a", 200)
    work.go.set()
    assert set(await asyncio.gather(*callers)) == {"result 1"}
    assert work.calls == 1
    assert len(single_flight) == 0


async def test_a_call_has_the_time_of_its_most_patient_caller() -> None:
    work, single_flight = Work(), SingleFlight()
    seen: list[Deadline] = []

    async def compute() -> str:
        seen.append(current_caller().deadline)
        return await work.compute()

    async def call(client: str, seconds: float) -> str:
        with serving(Caller(client, Deadline(seconds))):
            return await single_flight.do("a", compute)

    impatient = asyncio.create_task(call("impatient", 30))
    await wait_for_callers(single_flight, "a", 1)
    await work.started.wait()
    (deadline,) = seen
    assert 0 < deadline.remaining() <= 30
    patient = asyncio.create_task(call("patient", 120))
    await wait_for_callers(single_flight, "a", 2)
    assert 30 < deadline.remaining() <= 120
    impatient.cancel()
    await asyncio.wait([impatient])
    assert 30 < deadline.remaining() <= 120
    work.go.set()
    assert await patient == "result 1"


async def test_other_keys_are_other_calls() -> None:
    work, single_flight = Work(), SingleFlight()
    work.go.set()
    await asyncio.gather(*(single_flight.do(key, work.compute) for key in "abc"))
    assert work.calls == 3


async def test_a_result_is_not_remembered() -> None:
    work, single_flight = Work(), SingleFlight()
    work.go.set()
    assert await single_flight.do("a", work.compute) == "result 1"
    assert await single_flight.do("a", work.compute) == "result 2"


async def test_when_the_first_caller_leaves_the_others_still_get_the_result() -> None:
    work, single_flight = Work(), SingleFlight()
    first, *others = (asyncio.create_task(single_flight.do("a", work.compute)) for _ in range(3))
    await wait_for_callers(single_flight, "a", 3)
    first.cancel()
    await wait_for_callers(single_flight, "a", 2)
    work.go.set()
    assert await asyncio.gather(*others) == ["result 1"] * 2
    assert first.cancelled()


async def test_a_call_without_callers_is_cancelled_and_the_next_starts_a_new_one() -> None:
    work, single_flight = Work(), SingleFlight()
    callers = [asyncio.create_task(single_flight.do("a", work.compute)) for _ in range(2)]
    await wait_for_callers(single_flight, "a", 2)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    work.go.set()
    assert await single_flight.do("a", work.compute) == "result 2"
    assert (work.calls, work.cancelled) == (2, 1)


async def test_all_callers_get_a_copy_of_the_error_and_it_is_not_remembered() -> None:
    work, single_flight = Work(), SingleFlight()
    callers = [asyncio.create_task(single_flight.do("a", work.fail)) for _ in range(3)]
    await wait_for_callers(single_flight, "a", 3)
    work.go.set()
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert [(type(error), str(error)) for error in errors] == [(InvalidOperation, "no")] * 3
    assert {getattr(error, "field", None) for error in errors} == {"width"}
    assert len(set(map(id, errors))) == 3
    assert await single_flight.do("a", work.compute) == "result 2"


async def test_closing_raises_in_the_callers() -> None:
    work, single_flight = Work(), SingleFlight()
    caller = asyncio.create_task(single_flight.do("a", work.compute))
    await wait_for_callers(single_flight, "a", 1)
    await single_flight.close()
    with pytest.raises(Overloaded):
        await caller


def start_lock_holder(locks: Path, name: str) -> "subprocess.Popen[str]":
    """A process that holds a lock until it reads a line."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from proxy.runtime.singleflight import FileLocks\n"
        "async def main():\n"
        "    release = await FileLocks(Path(sys.argv[1])).acquire(sys.argv[2])\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    release()\n"
        "asyncio.run(main())\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(locks), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def lock_in_other_process(locks: Path, name: str) -> "Iterator[subprocess.Popen[str]]":
    with start_lock_holder(locks, name) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def test_a_caller_that_waited_for_another_process_rechecks_first(tmp_path: Path) -> None:
    work, single_flight = Work(), SingleFlight(tmp_path / "locks")
    work.go.set()
    with lock_in_other_process(tmp_path / "locks", "a") as other:
        caller = asyncio.create_task(single_flight.do("a", work.compute, work.recheck))
        assert await single_flight.do("b", work.compute, work.recheck) == "result 1"
        work.stored = "stored there"
        other.communicate("done\n")
        assert await caller == "stored there"
    assert work.calls == 1


async def test_a_lock_whose_holder_was_killed_is_released(tmp_path: Path) -> None:
    work, single_flight = Work(), SingleFlight(tmp_path / "locks")
    work.go.set()
    with lock_in_other_process(tmp_path / "locks", "a") as other:
        caller = asyncio.create_task(single_flight.do("a", work.compute, work.recheck))
        await wait_for_callers(single_flight, "a", 1)
        other.kill()
        assert await caller == "result 1"


async def test_a_caller_can_leave_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    work, single_flight = Work(), SingleFlight(tmp_path / "locks")
    with lock_in_other_process(tmp_path / "locks", "a"):
        caller = asyncio.create_task(single_flight.do("a", work.compute, work.recheck))
        await wait_for_callers(single_flight, "a", 1)
        caller.cancel()
        await asyncio.wait((caller,))
    assert work.calls == 0


async def test_a_cancelled_call_does_not_release_the_lock_of_the_next(
    tmp_path: Path,
) -> None:
    mine, other = FileLocks(tmp_path / "locks"), FileLocks(tmp_path / "locks")
    release = await mine.acquire("a")
    release_again = await mine.acquire("a")
    release_again()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await other.acquire("a")
    release()
    await other.acquire("a")


async def test_a_call_excludes_other_processes_until_its_result_is_written(tmp_path: Path) -> None:
    written = asyncio.get_running_loop().create_future()
    work = Work()
    work.go.set()
    single_flight = SingleFlight(tmp_path / "locks", written=lambda: written)
    other = FileLocks(tmp_path / "locks")
    assert await single_flight.do("a", work.compute, work.recheck) == "result 1"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await other.acquire("a")
    written.set_result(None)
    await other.acquire("a")


async def test_the_first_lock_creates_its_folder(tmp_path: Path) -> None:
    mine, other = FileLocks(tmp_path / "new" / "locks"), FileLocks(tmp_path / "new" / "locks")
    await mine.acquire("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await other.acquire("a")


async def test_without_a_lock_file_calls_are_shared_in_the_process(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    work, single_flight = Work(), SingleFlight(tmp_path / "taken" / "locks")
    callers = [
        asyncio.create_task(single_flight.do("a", work.compute, work.recheck)) for _ in range(3)
    ]
    await wait_for_callers(single_flight, "a", 3)
    work.go.set()
    assert set(await asyncio.gather(*callers)) == {"result 1"}


def test_every_error_can_be_copied_for_its_callers() -> None:
    import copy

    def tree(kind: type[ProxyError]) -> list[type[ProxyError]]:
        return [kind, *(deep for sub in kind.__subclasses__() for deep in tree(sub))]

    kinds = [kind for kind in tree(ProxyError) if kind.__module__ == "proxy.errors"]
    for kind in kinds:
        error = copy.copy(kind("sentence", detail="detail"))
        assert (str(error), error.detail) == ("sentence", "detail")


async def excludes_other_processes(locks: FileLocks, path: Path) -> bool:
    """Whether another process would have to wait for a lock that is held here."""
    release = await locks.acquire("a")
    try:
        if not path.exists():
            return False
        async with asyncio.timeout(0):
            await FileLocks(path).acquire("a")
            return False
    except TimeoutError:
        return True
    finally:
        release()


async def test_opening_the_lock_file_is_retried_with_back_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    now, folder = 0.0, tmp_path / "folder"
    folder.touch()
    path = folder / "locks"
    mine = FileLocks(path, lambda: now)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        assert not await excludes_other_processes(mine, path)
        now += pause
    assert not await excludes_other_processes(mine, path)
    folder.unlink()
    assert not await excludes_other_processes(mine, path)  # the back-off is not over
    now += 60
    assert await excludes_other_processes(mine, path)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_locks_work_once_a_read_only_folder_becomes_writable(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "ro", "none", str(tmp_path)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: ASYNC221 - it takes no time
        pytest.skip("file systems cannot be mounted here")
    try:
        now, path = 0.0, tmp_path / "cache" / "locks"
        mine = FileLocks(path, lambda: now)
        assert not await excludes_other_processes(mine, path)
        subprocess.run([mount, "-o", "remount,rw", str(tmp_path)], check=True)  # noqa: ASYNC221 - it takes no time
        now += 1
        assert await excludes_other_processes(mine, path)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)  # noqa: ASYNC221, S607
