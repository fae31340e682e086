"""One server for all clients of a test process."""

import os

import pytest
from live_server import live_server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    os.environ["NO_PROXY"] = "127.0.0.1"  # clients ask the environment for proxies
    with live_server(tmp_path_factory.mktemp("cache")) as served:
        yield served
