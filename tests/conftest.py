"""What many tests need: a loop, a server that originals come from, and a service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from origin_server import Origin
from service_fixture import World

# How long an example takes says something about the machine, and nothing about the code. The same
# code gets the same examples; `--hypothesis-profile search` looks for others, and for longer.
settings.register_profile(
    "framekeep", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", settings.get_profile("framekeep"), derandomize=False, max_examples=1000
)
settings.load_profile("framekeep")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """A real HTTP server on loopback; it counts what it is asked."""
    async with Origin() as server:
        yield server


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A service of its own, in this process."""
    world = World(tmp_path / "cache")
    yield world
    await world.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden pictures anew")
