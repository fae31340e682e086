"""Each guard is proved by trying, inside a render process, what it forbids."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sandbox_tasks import ENVIRONMENT, FORBIDDEN, TRY

from proxy.render import seccomp
from proxy.render.manager import Renderers
from proxy.render.pool import Pool
from proxy.render.process import ABOUT
from proxy.render.protocol import RenderConfig

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def confined() -> AsyncIterator[Pool]:
    async with Renderers(RenderConfig(processes=1), works="sandbox_tasks") as renderers:
        pool = Pool(renderers.directory, queue_seconds=30)
        about = await pool.run(ABOUT, None)
        missing = [name for name, state in about.guards.items() if state != "on"]
        if missing:
            pytest.skip(f"this kernel does not offer {', '.join(missing)}")
        yield pool


@pytest.fixture(scope="module")
async def open_to_all() -> AsyncIterator[Pool]:
    settings = RenderConfig(processes=1, sandbox=False)
    async with Renderers(settings, works="sandbox_tasks") as renderers:
        yield Pool(renderers.directory, queue_seconds=30)


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_a_renderer_cannot(confined: Pool, what: str) -> None:
    assert await confined.run(TRY, what) != ""


@pytest.mark.parametrize("what", ["listen", "run a program", "fork", "read /etc/passwd", "list /"])
async def test_it_is_the_sandbox_that_forbids_it(open_to_all: Pool, what: str) -> None:
    assert await open_to_all.run(TRY, what) == ""
    assert (await open_to_all.run(ABOUT, None)).guards == {}


async def test_a_renderer_has_no_privilege_and_gains_none(confined: Pool) -> None:
    pid = (await confined.run(ABOUT, None)).pid
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # a filter


async def test_no_secret_is_in_a_renderers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEKEEP_LINKS_KEYS", "00112233445566778899aabbccddeeff")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with Renderers(RenderConfig(processes=1), works="sandbox_tasks") as renderers:
        seen = await Pool(renderers.directory, queue_seconds=30).run(ENVIRONMENT, None)
    assert not [name for name in seen if name.startswith(("FRAMEKEEP", "AWS"))]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_one_the_kernel_could_take(machine: str) -> None:
    """Every jump lands inside; what the kernel itself checks, for the machine that is not here."""
    steps = [struct.unpack("=HBBI", step) for step in seccomp._program(machine, 1)]
    for at, (code, yes, no, _) in enumerate(steps):
        if code & 0x07 == 0x05:
            assert at + 1 + max(yes, no) < len(steps)
    assert steps[-1][0] == 0x06


def test_a_machine_without_numbers_has_no_filter() -> None:
    with pytest.raises(OSError, match="vax"):
        list(seccomp._program("vax", 1))
