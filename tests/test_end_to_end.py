"""The server as a user sees it: the command is started, and links are requested."""

import asyncio
import os
import re
import signal
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from dev_server import ALLOW_LOOPBACK, children, dev_server
from origin_server import OriginServer
from render_processes import wait_until

import proxy
from proxy import Framekeep
from proxy.imaging.headers import probe

pytestmark = pytest.mark.anyio

BEACH = (Path(proxy.__file__).parent / "data" / "demo" / "beach.jpg").read_bytes()
SIZES = ("200:200", "800:600", "1200:630")
CHAIN = "smart_crop:{}/sharpen:0.5/convert:webp:85"

LONG_TIMEOUTS = {
    "FRAMEKEEP_LIMITS_RENDER_TIMEOUT_SECONDS": "300",
    "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "300",
}


async def test_the_three_links_printed_at_the_start_work(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        links = re.findall(r"http://\S+/_/\S+", server.startup_message)
        assert len(links) == 3
        for link, size in zip(links, SIZES, strict=True):
            response = await server.get(link)
            header = probe(response.content)
            assert response.headers["content-type"] == "image/webp"
            assert f"{header.width}:{header.height}" == size


async def test_three_sizes_at_two_workers_are_one_fetch_and_then_cache_hits(
    tmp_path: Path, origin: OriginServer
) -> None:
    source = origin.serve("/beach.jpg", BEACH)
    paths = [f"/_/{CHAIN.format(size)}/{source}" for size in SIZES]
    async with dev_server(tmp_path, "--workers", "2", environment=ALLOW_LOOPBACK) as server:
        first = await asyncio.gather(*map(server.get, paths))
        assert [response.status_code for response in first] == [200, 200, 200]
        assert [response.headers["x-cache"] for response in first] == ["miss", "miss", "miss"]
        assert origin.count("/beach.jpg") == 1
        second = await asyncio.gather(*map(server.get, paths))
        assert [response.headers["x-cache"] for response in second] == ["hit", "hit", "hit"]
        assert [a.content for a in second] == [b.content for b in first]
        assert origin.count("/beach.jpg") == 1
    # Another server with the same cache:
    async with dev_server(tmp_path, environment=ALLOW_LOOPBACK) as server:
        assert (await server.get(paths[0])).headers["x-cache"] == "hit"


async def test_jpeg_xl_is_sent_to_who_asks_for_it_where_it_is_offered(tmp_path: Path) -> None:
    path = "/_/resize:200:200/convert:auto/demo:beach.jpg"
    jxl, webp = "image/jxl,image/webp,*/*", "image/webp,*/*"
    async with dev_server(tmp_path, environment={"FRAMEKEEP_LINKS_AUTO_JXL": "true"}) as server:
        first = [await server.get(path, accept=accept) for accept in (jxl, webp)]
        repeated = [await server.get(path, accept=accept) for accept in (jxl, webp)]
    types = [response.headers["content-type"] for response in first]
    assert types == ["image/jxl", "image/webp"]
    assert [str(probe(response.content).format) for response in first] == ["jxl", "webp"]
    assert [response.headers["vary"] for response in first] == ["Accept", "Accept"]
    assert [response.content for response in repeated] == [response.content for response in first]
    assert [response.headers["x-cache"] for response in repeated] == ["hit", "hit"]
    # It is not offered now, and who accepts WebP still gets what was cached.
    async with dev_server(tmp_path) as server:
        response = await server.get(path, accept=jxl)
    assert (response.headers["x-cache"], response.content) == ("hit", first[1].content)


async def test_two_servers_and_the_library_render_the_same_bytes(tmp_path: Path) -> None:
    chain = CHAIN.format("200:200")
    bodies = {Framekeep().render(BEACH, *chain.split("/")).body}
    for name in ("one", "other"):
        async with dev_server(tmp_path / name) as server:
            bodies.add((await server.get(f"/_/{chain}/demo:beach.jpg")).content)
    assert len(bodies) == 1


async def test_many_requests_for_one_uncached_link_are_one_fetch_and_one_render(
    tmp_path: Path, origin: OriginServer
) -> None:
    requested, proceed = asyncio.Event(), asyncio.Event()

    async def respond_slowly(_: web.BaseRequest) -> web.StreamResponse:
        requested.set()
        await proceed.wait()
        return web.Response(body=BEACH)

    source = origin.handle("/slow.jpg", respond_slowly)
    async with dev_server(tmp_path, "--workers", "2", environment=ALLOW_LOOPBACK) as server:
        path = f"/_/{CHAIN.format('200:200')}/{source}"
        clients = [asyncio.create_task(server.get(path)) for _ in range(200)]
        await requested.wait()
        proceed.set()
        responses = await asyncio.gather(*clients)
        assert {response.status_code for response in responses} == {200}
        assert len({response.content for response in responses}) == 1
        assert origin.count("/slow.jpg") == 1


async def test_every_request_is_answered_when_render_processes_are_killed(tmp_path: Path) -> None:
    async with dev_server(
        tmp_path, environment={"FRAMEKEEP_RENDER_PROCESSES": "2", **LONG_TIMEOUTS}
    ) as server:
        await wait_until(lambda: len(children(server.process.pid)) > 1)
        before = await server.render_processes()
        slow = [
            asyncio.create_task(server.get(f"/_/resize:{1600 + at}/convert:avif/demo:beach.jpg"))
            for at in range(2)
        ]
        for process in before:
            await wait_until(lambda pid=process: is_busy(pid))  # type: ignore[misc]
            os.kill(process, signal.SIGKILL)
        responses = await asyncio.gather(*slow)
        assert {response.status_code for response in responses} <= {200, 502, 503}
        after = await server.get("/_/resize:20:20/demo:beach.jpg")
        assert after.status_code == 200
        assert not before & await server.render_processes()


def is_busy(pid: int) -> bool:
    """Whether the process has used more than a tenth of a second of CPU time."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return True
    return int(fields[11]) + int(fields[12]) > os.sysconf("SC_CLK_TCK") // 10


async def test_an_https_source_is_fetched_where_its_host_is_allowed(
    tmp_path: Path,
) -> None:
    certificate = Path(__file__).parent / "loopback.pem"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with OriginServer(tls=tls) as origin:
        origin.serve("/beach.jpg", BEACH)
        path = f"/_/resize:20:20/convert:png/{origin.url('/beach.jpg')}"
        trust = {"SSL_CERT_FILE": str(certificate)}
        async with dev_server(tmp_path, environment={**ALLOW_LOOPBACK, **trust}) as server:
            response = await server.get(path)
            assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
            assert origin.count("/beach.jpg") == 1
        elsewhere = {"FRAMEKEEP_SOURCES_ALLOW_HOSTS": "images.example"}
        async with dev_server(tmp_path / "other", environment={**trust, **elsewhere}) as server:
            denied = await server.get(path)
            assert denied.status_code == 403
            assert denied.headers["content-type"] == "application/problem+json"
            assert origin.count("/beach.jpg") == 1


def scan_bomb() -> bytes:
    """A progressive JPEG of 36 megapixels and 2,000 scans, in a few kilobytes."""
    frame = bytes.fromhex("ffc2000b081770177001011100")
    table = bytes.fromhex("ffc400140001" + "00" * 15 + "00")
    scan = bytes.fromhex("ffda000801010000000001")
    return b"\xff\xd8" + frame + table + 2000 * (scan + b"\x00") + b"\xff\xd9"


async def test_a_scan_bomb_is_rejected_while_other_requests_are_served(
    tmp_path: Path, origin: OriginServer
) -> None:
    bomb = origin.serve("/bomb.jpg", scan_bomb())
    async with dev_server(tmp_path, environment=ALLOW_LOOPBACK) as server:
        rejected, served = await asyncio.gather(
            server.get(f"/_/resize:20:20/{bomb}"), server.get("/_/resize:20:20/demo:beach.jpg")
        )
        assert rejected.status_code == 422
        assert "scans" in rejected.json()["detail"]
        assert served.status_code == 200


async def test_a_truncated_picture_is_never_served(tmp_path: Path, origin: OriginServer) -> None:
    async with dev_server(tmp_path, environment=ALLOW_LOOPBACK) as server:
        for percent in (1, 50, 99):
            truncated = origin.serve(f"/{percent}.jpg", BEACH[: len(BEACH) * percent // 100])
            for _ in range(2):  # the cached error is the same
                response = await server.get(f"/_/resize:200:200/{truncated}")
                assert response.status_code == 422


WRONG_LINKS = {
    "/_/blurr:3/demo:beach.jpg": (400, "segment 2 ('blurr:3'): unknown operation"),
    "/_/blur:3000/demo:beach.jpg": (400, "blur: sigma: must be a number above 0, up to 100, not"),
    "/_/resize:20:20": (400, "source missing"),
    "/resize:20:20/demo:beach.jpg": (403, "signature missing"),
    "/_/expires:1/demo:beach.jpg": (410, "link expired at 1970-01-01 00:00:01 UTC"),
    "/_/demo:none.jpg": (404, "source file not found"),
    "/_/crop:0:0:9000:10/demo:beach.jpg": (422, "4000x3000"),
}


async def test_errors_of_wrong_links_say_what_to_change(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        for path, (status, sentence) in WRONG_LINKS.items():
            response = await server.get(path)
            assert response.status_code == status
            assert sentence in response.json()["detail"]
