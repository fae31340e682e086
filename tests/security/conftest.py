from collections.abc import Iterator

import httpx2 as httpx
import pytest
from live_server import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may ask anybody on loopback."""
    with serving(tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as asking:
        yield asking
