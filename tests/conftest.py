"""Fixtures of many tests: an event loop, an origin server, and a service."""

import inspect
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from origin_server import OriginServer
from s3_server import CREDENTIALS, RCLONE, S3Server, s3_server
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


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server; for all tests of a module."""
    if RCLONE is None:
        pytest.skip("rclone, which serves S3 here, is not installed")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "shared").mkdir()
    with s3_server(folder) as address:
        yield S3Server(address, folder)


@pytest.fixture
def s3(rclone: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The same, with its credentials in the environment."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return rclone


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> str:
    """The URL of a folder of this test."""
    return s3.bucket_url(request.node.name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden pictures")
