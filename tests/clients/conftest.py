"""One server for all clients of a test process."""

import pytest
from live_server import live_server


@pytest.fixture(scope="module", autouse=True)
def no_proxy_for_loopback():
    """Clients ask the environment for proxies; other tests see it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("cache")) as served:
        yield served
