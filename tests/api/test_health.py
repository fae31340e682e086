"""Alive, and ready."""

import httpx2 as httpx
import pytest

from proxy.api.health import LIVE, READY, Health

pytestmark = pytest.mark.anyio


async def ask(path: str, unready: str = "", method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app=Health(lambda: unready))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("path", [LIVE, *READY])
async def test_all_is_well(path: str) -> None:
    answer = await ask(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", READY)
async def test_the_unready_say_why(path: str) -> None:
    answer = await ask(path, "going down")
    assert (answer.status_code, answer.json()) == (503, {"status": "going down"})


async def test_the_unready_are_alive() -> None:
    assert (await ask(LIVE, "going down")).status_code == 200


async def test_other_paths_are_none() -> None:
    assert (await ask("/health/of-my-cat")).status_code == 404


async def test_head_has_no_body() -> None:
    answer = await ask(LIVE, method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_health_is_only_read() -> None:
    answer = await ask(LIVE, method="POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
