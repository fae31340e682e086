"""The health API: alive, and ready."""

from functools import partial

import httpx2 as httpx
import pytest

from proxy.api.health import LIVE, READY, health_api
from proxy.runtime.components import OK, ComponentStatus

pytestmark = pytest.mark.anyio


OFF = ComponentStatus("degraded", "cache is off: https://user:secret@a.example/ is full")
DEAD = ComponentStatus("down", "no render processes: fork server exited with -9")


async def request(
    path: str, not_ready: str = "", method: str = "GET", **statuses: ComponentStatus
) -> httpx.Response:
    components = {name: partial(statuses.__getitem__, name) for name in statuses}
    transport = httpx.ASGITransport(app=health_api(lambda: not_ready, components))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("path", [LIVE, *READY])
async def test_a_ready_worker_answers_ok(path: str) -> None:
    response = await request(path, cache=OK)
    components = {} if path == LIVE else {"components": {"cache": "ok"}}
    assert (response.status_code, response.json()) == (200, {"status": "ok", **components})
    assert response.headers["cache-control"] == "no-store"


async def test_a_degraded_component_is_told_in_a_line_and_the_worker_stays_ready() -> None:
    response = await request(READY[0], workers=OK, cache=OFF)
    assert response.status_code == 200
    assert response.json() == {
        "status": "degraded",
        "components": {
            "workers": "ok",
            "cache": "degraded: cache is off: https://a.example/ is full",
        },
    }


async def test_a_worker_with_a_component_that_is_down_is_not_ready_but_alive() -> None:
    response = await request(READY[0], cache=OFF, render_processes=DEAD)
    assert response.status_code == 503
    assert response.json()["status"] == "down"
    assert response.json()["components"]["render_processes"] == f"down: {DEAD.detail}"
    assert (await request(LIVE, render_processes=DEAD)).status_code == 200


@pytest.mark.parametrize("path", READY)
async def test_a_worker_that_is_not_ready_gives_the_reason(path: str) -> None:
    response = await request(path, "stopping")
    assert (response.status_code, response.json()["status"]) == (503, "stopping")


async def test_a_worker_that_is_not_ready_is_alive() -> None:
    assert (await request(LIVE, "stopping")).status_code == 200


@pytest.mark.parametrize("path", ["/health/of-my-cat", "/health/", "//health"])
async def test_other_paths_are_not_found(path: str) -> None:
    response = await request(path)
    assert response.status_code == 404
    assert response.json()["status"].startswith("not found")


async def test_head_has_no_body() -> None:
    response = await request(LIVE, method="HEAD")
    assert (response.status_code, response.content) == (200, b"")


async def test_only_get_and_head_are_allowed() -> None:
    response = await request(LIVE, method="POST")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.headers["cache-control"] == "no-store"
