"""Each guard is tested by trying, inside a render process, what it forbids."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sandbox_tasks import ENVIRONMENT, FORBIDDEN, TRY

from proxy.render import seccomp
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.process import PING

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def sandboxed() -> AsyncIterator[RenderPool]:
    async with RenderProcessManager(RenderConfig(processes=1), handlers="sandbox_tasks") as manager:
        pool = RenderPool(manager.directory)
        info = await pool.run(PING, None)
        missing = [name for name, state in info.sandbox_guards.items() if state != "on"]
        if missing:
            pytest.skip(f"this kernel does not support {', '.join(missing)}")
        yield pool


@pytest.fixture(scope="module")
async def unconfined() -> AsyncIterator[RenderPool]:
    settings = RenderConfig(processes=1, sandbox=False)
    async with RenderProcessManager(settings, handlers="sandbox_tasks") as manager:
        yield RenderPool(manager.directory)


@pytest.mark.parametrize("action", FORBIDDEN)
async def test_a_render_process_cannot(sandboxed: RenderPool, action: str) -> None:
    assert await sandboxed.run(TRY, action) != ""


@pytest.mark.parametrize(
    "action", ["listen", "run a program", "fork", "read /etc/passwd", "list /"]
)
async def test_it_is_the_sandbox_that_forbids_it(unconfined: RenderPool, action: str) -> None:
    assert await unconfined.run(TRY, action) == ""
    assert (await unconfined.run(PING, None)).sandbox_guards == {}


async def test_a_render_process_has_no_privilege_and_cannot_gain_any(sandboxed: RenderPool) -> None:
    pid = (await sandboxed.run(PING, None)).pid
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # a filter


async def test_the_environment_of_a_render_process_holds_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRAMEKEEP_LINKS_KEYS", "00112233445566778899aabbccddeeff")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with RenderProcessManager(RenderConfig(processes=1), handlers="sandbox_tasks") as manager:
        environment = await RenderPool(manager.directory).run(ENVIRONMENT, None)
    assert not [name for name in environment if name.startswith(("FRAMEKEEP", "AWS"))]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_valid_for_the_kernel(machine: str) -> None:
    """Every jump lands inside: the kernel checks this too, but only for its own architecture."""
    program = [struct.unpack("=HBBI", instruction) for instruction in seccomp._program(machine, 1)]
    for position, (code, jump_true, jump_false, _) in enumerate(program):
        if code & 0x07 == 0x05:
            assert position + 1 + max(jump_true, jump_false) < len(program)
    assert program[-1][0] == 0x06


def test_an_unknown_architecture_has_no_filter() -> None:
    with pytest.raises(OSError, match="vax"):
        list(seccomp._program("vax", 1))
