"""The cache as its operator sees it: two workers, three spellings, a purge, a warm-up."""

import asyncio
import sys
from pathlib import Path

import pytest
from dev_server import NEAR, House, house
from origin_server import Origin
from pictures import file, scene

pytestmark = pytest.mark.anyio


async def framekeep(cache: Path, *words: str, stdin: bytes = b"") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "FRAMEKEEP_CACHE_DIR": str(cache)},
    )
    said, complained = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, said.decode() + complained.decode()


async def states(home: House, links: list[str]) -> set[str]:
    """Each link asked for several times, so that every worker is."""
    answers = [await home.get(link) for link in links for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}
    return {answer.headers["x-cache"] for answer in answers}


async def test_one_upload_with_all_that_was_made_of_it_is_purged_everywhere(
    tmp_path: Path, origin: Origin
) -> None:
    cache = tmp_path / "cache"
    url, near = origin.serve("/u/1.png", file(scene())), origin.serve("/u/2.png", file(scene()))
    sizes = [f"resize:{width}" for width in range(20, 32)]
    spelt = [url, url.replace("://", ":/"), url.replace("/", "%2F").replace(":", "%3A")]
    links = [f"/_/{size}/{source}" for size in sizes for source in spelt]
    environment = {**NEAR, "FRAMEKEEP_ADMIN_KEYS": "secret"}
    async with house(cache, "--workers", "2", environment=environment) as home:
        await states(home, links)
        await states(home, [f"/_/resize:20/{near}"])
        assert origin.count("/u/1.png") == 1
        assert await states(home, links) == {"hit"}

        refused = await home.client.post("/admin/purge", json={"sources": [url]})
        assert refused.status_code == 401
        purged = await home.client.post(
            "/admin/purge", json={"sources": [url]}, headers={"authorization": "Bearer secret"}
        )
        assert purged.json()["entries"]["rendition"] == 12
        first = [(await home.get(link)).headers["x-cache"] for link in links[::3]]
        assert first == ["miss"] * 12
        assert await states(home, [f"/_/resize:20/{near}"]) == {"hit"}
        assert origin.count("/u/1.png") == 2

        status, said = await framekeep(cache, "cache", "purge", "--prefix", origin.url("/u/"))
        assert (status, said.split()[:2]) == (0, ["rendition", "13"])
        assert (await home.get(links[0])).headers["x-cache"] == "miss"

        status, said = await framekeep(cache, "cache", "purge", "--everything", "--soft")
        assert status == 0
        assert (await home.get(links[0])).headers["x-cache"] == "stale"

        status, said = await framekeep(cache, "cache", "verify")
        assert status == 0
        assert "damaged" in said
    status, said = await framekeep(cache, "cache", "stats")
    assert status == 0
    assert said.splitlines()[1].split()[0] == "rendition"


async def test_a_purge_of_nothing_is_refused(tmp_path: Path) -> None:
    status, said = await framekeep(tmp_path / "cache", "cache", "purge", "--soft")
    assert status == 1
    assert "nothing is selected" in said


async def test_a_cache_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    status, said = await framekeep(tmp_path / "cache", "cache", "stats")
    assert status == 1
    assert "cannot be used" in said
    assert (await framekeep(tmp_path / "cache", "cache", "purge", "--everything"))[0] == 1


async def test_links_are_warmed_once(tmp_path: Path, origin: Origin) -> None:
    url = origin.serve("/a.png", file(scene()))
    links = [f"/_/resize:{width}/{url}" for width in (20, 30, 40)]
    bad = f"/_/resize:20/{origin.url('/missing.png')}"
    done = tmp_path / "done"
    async with house(tmp_path / "cache", environment=NEAR) as home:
        words = ("warm", "-", "--base", str(home.client.base_url), "--done", str(done))
        text = "\n".join([*links, bad, links[0]]).encode()
        status, said = await framekeep(tmp_path / "cli", *words, stdin=text)
        assert status == 1
        assert "3 warm, 1 failed, 0 left out" in said
        assert f"{bad}\tstatus 404" in said
        assert "[##############################] 4/4, 1 failed" in said
        assert await states(home, links) == {"hit"}
        assert origin.count("/a.png") == 1
        status, said = await framekeep(tmp_path / "cli", *words, stdin=text)
        assert "0 warm, 1 failed, 3 left out" in said


async def test_sources_are_warmed_by_preset(tmp_path: Path, origin: Origin) -> None:
    url = origin.serve("/a.png", file(scene()))
    presets = {
        "FRAMEKEEP_LINKS_PRESETS": '{"small": "resize:20", "large": "resize:40"}',
        "FRAMEKEEP_LINKS_KEYS": "0f" * 16,
    }
    async with house(tmp_path / "cache", environment={**NEAR, **presets}) as home:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "warm", "-", "--base", str(home.client.base_url)),
            *("--preset", "small", "--preset", "large"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "", **presets},
        )
        said, _ = await process.communicate(f"{url}\n".encode())
        assert said.startswith(b"2 warm, 0 failed")
        assert await states(home, [f"/_/resize:{width}/{url}" for width in (20, 40)]) == {"hit"}
