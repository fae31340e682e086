"""The health API: alive, and ready."""

import httpx2 as httpx
import pytest

from proxy.api.health import LIVE, READY, health_api

pytestmark = pytest.mark.anyio


async def request(path: str, not_ready: str = "", method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app=health_api(lambda: not_ready))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("path", [LIVE, *READY])
async def test_a_ready_worker_answers_ok(path: str) -> None:
    response = await request(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", READY)
async def test_a_worker_that_is_not_ready_gives_the_reason(path: str) -> None:
    response = await request(path, "stopping")
    assert (response.status_code, response.json()) == (503, {"status": "stopping"})


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
