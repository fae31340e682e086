"""Fixtures of many tests: an event loop, an origin server, and a service."""

import inspect
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from origin_server import OriginServer
from service_fixture import ServiceHarness

# Tests are client, server and origin in one process: 500 callers need more than the 1,024
# descriptors that an ordinary user has at first.
_, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard_limit, _hard_limit))

# A machine that stands still for a moment fails no test: requests without a time-out of their own
# wait for a minute, not for httpx's five seconds.
_patience = inspect.signature(httpx.get).parameters["timeout"].default
_patience.connect = _patience.read = _patience.write = _patience.pool = 60.0

# No deadline: the time of an example depends on the machine. The same code gets the same examples;
# `--hypothesis-profile search` tries others, and more.
settings.register_profile(
    "framekeep", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", settings.get_profile("framekeep"), derandomize=False, max_examples=1000
)
settings.load_profile("framekeep")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of the server."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def origin() -> AsyncIterator[OriginServer]:
    """A real HTTP server on loopback that records requests."""
    async with OriginServer() as server:
        yield server


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ServiceHarness]:
    """A service in this process."""
    harness = ServiceHarness(tmp_path / "cache")
    yield harness
    await harness.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden pictures")
