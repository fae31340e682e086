from collections.abc import Iterator

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that may connect to loopback; every path that is not of an API is a link."""
    settings = {"FRAMEKEEP_PAGES_HOME": "false"}
    with live_server(tmp_path_factory.mktemp("cache"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http_client:
        yield http_client
