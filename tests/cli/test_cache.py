"""The cache commands, against a server with two workers: purge, verify and stats."""

import asyncio
import sys
from pathlib import Path

import pytest
from dev_server import ALLOW_LOOPBACK, DevServer, dev_server
from origin_server import OriginServer
from pictures import encode, scene

pytestmark = pytest.mark.anyio


async def framekeep(cache: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "FRAMEKEEP_CACHE_DIR": str(cache)},
    )
    stdout, stderr = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, stdout.decode() + stderr.decode()


async def cache_states(server: DevServer, links: list[str]) -> set[str]:
    """Request each link several times, so that every worker gets it."""
    responses = [await server.get(link) for link in links for _ in range(4)]
    assert {response.status_code for response in responses} == {200}
    return {response.headers["x-cache"] for response in responses}


async def test_a_purge_of_one_source_removes_its_original_and_all_results_in_all_workers(
    tmp_path: Path, origin: OriginServer
) -> None:
    cache = tmp_path / "cache"
    url, near = origin.serve("/u/1.png", encode(scene())), origin.serve("/u/2.png", encode(scene()))
    sizes = [f"resize:{width}" for width in range(20, 32)]
    spellings = [url, url.replace("://", ":/"), url.replace("/", "%2F").replace(":", "%3A")]
    links = [f"/_/{size}/{source}" for size in sizes for source in spellings]
    environment = {**ALLOW_LOOPBACK, "FRAMEKEEP_ADMIN_KEYS": "secret"}
    async with dev_server(cache, "--workers", "2", environment=environment) as server:
        await cache_states(server, links)
        await cache_states(server, [f"/_/resize:20/{near}"])
        assert origin.count("/u/1.png") == 1
        assert await cache_states(server, links) == {"hit"}

        unauthorized = await server.client.post("/admin/purge", json={"sources": [url]})
        assert unauthorized.status_code == 401
        purged = await server.client.post(
            "/admin/purge", json={"sources": [url]}, headers={"authorization": "Bearer secret"}
        )
        assert purged.json()["entries"]["rendition"] == 12
        first = [(await server.get(link)).headers["x-cache"] for link in links[::3]]
        assert first == ["miss"] * 12
        assert await cache_states(server, [f"/_/resize:20/{near}"]) == {"hit"}
        assert origin.count("/u/1.png") == 2

        status, output = await framekeep(cache, "cache", "purge", "--prefix", origin.url("/u/"))
        assert (status, output.split()[:4]) == (0, ["folder", str(cache), "rendition", "13"])
        assert (await server.get(links[0])).headers["x-cache"] == "miss"

        status, output = await framekeep(cache, "cache", "purge", "--everything", "--soft")
        assert status == 0
        assert (await server.get(links[0])).headers["x-cache"] == "stale"

        status, output = await framekeep(cache, "cache", "verify")
        assert status == 0
        assert "damaged" in output
    status, output = await framekeep(cache, "cache", "stats")
    assert status == 0
    assert output.splitlines()[1].split()[0] == "rendition"


async def test_a_purge_without_a_selector_is_an_error(tmp_path: Path) -> None:
    status, output = await framekeep(tmp_path / "cache", "cache", "purge", "--soft")
    assert status == 1
    assert "nothing is selected" in output


async def test_a_cache_that_is_not_there_is_named(tmp_path: Path) -> None:
    for action in (["stats"], ["verify"], ["purge", "--everything"]):
        status, output = await framekeep(tmp_path / "gone", "cache", *action)
        assert status == 2
        assert f"there is no cache in {tmp_path / 'gone'}" in output
    assert not (tmp_path / "gone").exists()


async def test_a_cache_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    status, output = await framekeep(tmp_path / "cache", "cache", "stats")
    assert status == 1
    assert "cannot be used" in output
    assert (await framekeep(tmp_path / "cache", "cache", "purge", "--everything"))[0] == 1
