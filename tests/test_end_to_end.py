"""The whole house as its user sees it: the command is started, and links are asked for."""

import asyncio
import os
import re
import signal
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from dev_server import NEAR, children, house
from origin_server import Origin
from render_processes import until

import proxy
from proxy import Framekeep
from proxy.imaging.headers import probe

pytestmark = pytest.mark.anyio

BEACH = (Path(proxy.__file__).parent / "data" / "demo" / "beach.jpg").read_bytes()
SIZES = ("200:200", "800:600", "1200:630")
CHAIN = "smart_crop:{}/sharpen:0.5/convert:webp:85"


PATIENT = {"FRAMEKEEP_LIMITS_RENDER_TIMEOUT_SECONDS": "300", "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "300"}


async def test_a_first_try_needs_nothing_but_the_three_links_it_prints(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        links = re.findall(r"http://\S+/_/\S+", home.welcome)
        assert len(links) == 3
        for link, size in zip(links, SIZES, strict=True):
            answer = await home.get(link)
            header = probe(answer.content)
            assert answer.headers["content-type"] == "image/webp"
            assert f"{header.width}:{header.height}" == size


async def test_three_sizes_at_two_workers_are_one_fetch_and_then_hits(
    tmp_path: Path, origin: Origin
) -> None:
    source = origin.serve("/beach.jpg", BEACH)
    paths = [f"/_/{CHAIN.format(size)}/{source}" for size in SIZES]
    async with house(tmp_path, "--workers", "2", environment=NEAR) as home:
        made = await asyncio.gather(*map(home.get, paths))
        assert [answer.status_code for answer in made] == [200, 200, 200]
        assert [answer.headers["x-cache"] for answer in made] == ["miss", "miss", "miss"]
        assert origin.count("/beach.jpg") == 1
        kept = await asyncio.gather(*map(home.get, paths))
        assert [answer.headers["x-cache"] for answer in kept] == ["hit", "hit", "hit"]
        assert [a.content for a in kept] == [b.content for b in made]
        assert origin.count("/beach.jpg") == 1
    async with house(tmp_path, environment=NEAR) as home:  # another one, on the same cache
        assert (await home.get(paths[0])).headers["x-cache"] == "hit"


async def test_the_server_the_library_and_another_server_make_the_same_bytes(
    tmp_path: Path,
) -> None:
    chain = CHAIN.format("200:200")
    made = {Framekeep().render(BEACH, *chain.split("/")).body}
    for name in ("one", "other"):
        async with house(tmp_path / name) as home:
            made.add((await home.get(f"/_/{chain}/demo:beach.jpg")).content)
    assert len(made) == 1


async def test_many_callers_for_one_cold_link_are_one_fetch_and_one_render(
    tmp_path: Path, origin: Origin
) -> None:
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def hesitate(_: web.BaseRequest) -> web.StreamResponse:
        asked.set()
        await let_go.wait()
        return web.Response(body=BEACH)

    source = origin.handle("/slow.jpg", hesitate)
    async with house(tmp_path, "--workers", "2", environment=NEAR) as home:
        path = f"/_/{CHAIN.format('200:200')}/{source}"
        callers = [asyncio.create_task(home.get(path)) for _ in range(200)]
        await asked.wait()
        let_go.set()
        answers = await asyncio.gather(*callers)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert origin.count("/slow.jpg") == 1


async def test_a_renderer_killed_in_a_request_costs_nobody_an_answer(tmp_path: Path) -> None:
    async with house(tmp_path, environment={"FRAMEKEEP_RENDER_PROCESSES": "2", **PATIENT}) as home:
        await until(lambda: len(children(home.process.pid)) > 1)
        before = await home.renderers()
        slow = [
            asyncio.create_task(home.get(f"/_/resize:{1600 + at}/convert:avif/demo:beach.jpg"))
            for at in range(2)
        ]
        for renderer in before:
            await until(lambda pid=renderer: is_working(pid))  # type: ignore[misc]
            os.kill(renderer, signal.SIGKILL)
        answers = await asyncio.gather(*slow)
        assert {answer.status_code for answer in answers} <= {200, 502, 503}
        after = await home.get("/_/resize:20:20/demo:beach.jpg")
        assert after.status_code == 200
        assert not before & await home.renderers()


def is_working(pid: int) -> bool:
    """Whether the process has spent more than a tenth of a second of processor time."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return True
    return int(words[11]) + int(words[12]) > os.sysconf("SC_CLK_TCK") // 10


async def test_a_secure_source_is_fetched_where_private_nets_are_allowed(tmp_path: Path) -> None:
    certificate = Path(__file__).parent / "loopback.pem"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with Origin(tls=tls) as origin:
        origin.serve("/beach.jpg", BEACH)
        path = f"/_/resize:20:20/convert:png/{origin.url('/beach.jpg')}"
        trusting = {"SSL_CERT_FILE": str(certificate)}
        async with house(tmp_path, environment={**NEAR, **trusting}) as home:
            answer = await home.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
            assert origin.count("/beach.jpg") == 1
        async with house(tmp_path / "other", environment=trusting) as home:
            refused = await home.get(path)
            assert refused.status_code == 403
            assert refused.headers["content-type"] == "application/problem+json"
            assert origin.count("/beach.jpg") == 1


def scan_bomb() -> bytes:
    """A progressive JPEG of 36 megapixels in a few kilobytes whose scans go over it 2,000 times."""
    frame = bytes.fromhex("ffc2000b081770177001011100")
    table = bytes.fromhex("ffc400140001" + "00" * 15 + "00")
    scan = bytes.fromhex("ffda000801010000000001")
    return b"\xff\xd8" + frame + table + 2000 * (scan + b"\x00") + b"\xff\xd9"


async def test_a_scan_bomb_is_refused_while_others_are_answered(
    tmp_path: Path, origin: Origin
) -> None:
    bomb = origin.serve("/bomb.jpg", scan_bomb())
    async with house(tmp_path, environment=NEAR) as home:
        refused, answered = await asyncio.gather(
            home.get(f"/_/resize:20:20/{bomb}"), home.get("/_/resize:20:20/demo:beach.jpg")
        )
        assert refused.status_code == 422
        assert "scans" in refused.json()["detail"]
        assert answered.status_code == 200


async def test_half_a_picture_is_never_served(tmp_path: Path, origin: Origin) -> None:
    async with house(tmp_path, environment=NEAR) as home:
        for percent in (1, 50, 99):
            half = origin.serve(f"/{percent}.jpg", BEACH[: len(BEACH) * percent // 100])
            for _ in range(2):  # and what failed once is not kept as something else
                answer = await home.get(f"/_/resize:200:200/{half}")
                assert answer.status_code == 422


WRONG = {
    "/_/blurr:3/demo:beach.jpg": (400, "segment 2 ('blurr:3'): no operation"),
    "/_/blur:3000/demo:beach.jpg": (400, "blur: sigma: expected `float` <= 100"),
    "/_/resize:20:20": (400, "the source is missing"),
    "/resize:20:20/demo:beach.jpg": (403, "the signature segment is missing"),
    "/_/expires:1/demo:beach.jpg": (410, "the link was good until 1970-01-01 00:00:01 UTC"),
    "/_/demo:none.jpg": (404, "there is no such file"),
    "/_/crop:0:0:9000:10/demo:beach.jpg": (422, "4000x3000"),
}


async def test_wrong_links_get_sentences_to_act_on(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for path, (status, sentence) in WRONG.items():
            answer = await home.get(path)
            assert answer.status_code == status
            assert sentence in answer.json()["detail"]
