"""Request targets that two servers in a row could read differently, or that mean the same twice."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pictures
import pytest
from front_servers import nginx_command
from live_server import LiveServer, live_server
from security.raw_http import exchange, get, status_codes

pytestmark = pytest.mark.anyio

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"

# Each would be the metrics, or a purge, for a server that resolves or decodes it once more.
PRIVATE = [
    *(b"/metrics", b"/metrics/", b"//metrics", b"/METRICS", b"/metrics/../x", b"/metrics/x"),
    *(b"/metrics%2f..%2fx", b"/metrics%2F", b"/%6detrics", b"/x/../metrics", b"/x%2f..%2fmetrics"),
    *(
        b"/./metrics",
        b"/metrics;x",
        b"/metrics?",
        b"/metrics?x=1",
        b"/metrics/.",
        b"/vision/../metrics",
    ),
    *(
        b"/admin/cache",
        b"/ADMIN/cache",
        b"//admin/cache",
        b"/admin/../admin/cache",
        b"/admin%2fcache",
    ),
    *(b"/%61dmin/cache", b"/admin/%63ache", b"/x/../admin/cache", b"/admin/./cache"),
    *(b"/admin/cache/", b"/admin/cache/../../x", b"/admin;/cache", b"/admin/cache?x", b"/admin"),
    *(b"/vision/../metrics", b"/admin%2fcache", b"http://a/metrics"),
]
PNG = pictures.encode(pictures.plain(20, 20))
ADMIN = b"Authorization: Bearer admin-key\r\n"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that shows its metrics to everybody: only the proxy in front hides them."""
    environment = {"FRAMEKEEP_METRICS_ACCESS": "open", "FRAMEKEEP_ADMIN_KEYS": "admin-key"}
    with live_server(tmp_path_factory.mktemp("cache"), environment) as running:
        yield running


async def answer(url: str, target: bytes, *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields) + ADMIN
    request = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines + b"\r\n"
    return await exchange(url, request)


@pytest.mark.parametrize("target", PRIVATE)
async def test_metrics_and_admin_are_at_their_exact_path(opened: LiveServer, target: bytes) -> None:
    path = target.removeprefix(b"http://a").partition(b"?")[0]
    received = await answer(opened.url, target)
    is_exact = path in (b"/metrics", b"/admin/cache")
    assert (status_codes(received) == [200]) == is_exact, received
    assert (b"framekeep_build_info" in received) == (path == b"/metrics")


@pytest.fixture(scope="module")
async def nginx(opened: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of nginx with the shipped configuration in front of the server."""
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        shipped = CONFIGURATION.read_text()
        adapted = shipped.replace("/var/cache/nginx-framekeep", str(folder / "cache"))
        adapted = adapted.replace("server 127.0.0.1:8080;", f"server {opened.url[7:]};")
        adapted = adapted.replace("listen 8081;", f"listen 127.0.0.1:{port};")
        # It takes over the open socket, so nobody else can get the port meanwhile.
        process = await asyncio.create_subprocess_exec(
            *nginx_command(adapted, folder),
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("target", PRIVATE)
async def test_no_spelling_passes_the_shipped_nginx(nginx: str, target: bytes) -> None:
    received = await answer(nginx, target)
    assert status_codes(received)[0] in (400, 403, 404), received
    assert b"framekeep_build_info" not in received


@pytest.mark.parametrize(
    "signature", [b"admin", b"adminXYZ_-0123456789abcde", b"metricsXYZ0123456789ab", b"Metrics-"]
)
async def test_a_signature_may_begin_like_a_private_path(nginx: str, signature: bytes) -> None:
    received = await answer(nginx, b"/" + signature + b"x/resize:9:9/http://a.example/a.jpg")
    assert status_codes(received) == [403]


async def test_a_link_has_one_entry_in_the_cache_of_nginx(opened: LiveServer, nginx: str) -> None:
    link = f"/_/resize:9:9/{opened.origin.serve('/one.png', body=PNG)}".encode()
    assert status_codes(await answer(nginx, link)) == [200]
    for ending in (b"#", b"#1", b"#2?", b"?", b"?#", b"%23#"):
        received = await answer(nginx, link + ending)
        assert status_codes(received)[0] in (400, 403, 404), (ending, received)
        assert b"X-Edge-Cache: HIT" not in received
    again = await answer(nginx, link)
    assert b"X-Edge-Cache: HIT" in again


async def test_nginx_keeps_one_copy_for_each_choice_of_client_hints(
    opened: LiveServer, nginx: str
) -> None:
    url = opened.origin.serve("/hinted.png", body=PNG)
    link = f"/_/resize:{{auto,12,320,640,1280}}/dpr:{{auto,1,2}}/save_data/{url}".encode()
    for fields, choice, edge_cache in (
        ((), b"12:1", b"MISS"),
        ((b"width: 500", b"dpr: 2", b"sec-ch-width: x"), b"12:1", b"HIT"),
        ((b"sec-ch-width: 600",), b"640:1", b"MISS"),
        ((b"sec-ch-width: 321",), b"640:1", b"HIT"),
        ((b"sec-ch-width: 961",), b"1280:1", b"MISS"),
        ((b"sec-ch-width: 1200", b"sec-ch-dpr: 1.75"), b"640:2", b"MISS"),
        ((b"sec-ch-width: 1280", b"sec-ch-dpr: 2"), b"640:2", b"HIT"),
        ((b"sec-ch-width: 1280", b"sec-ch-dpr: 2", b"save-data: on"), b"640:1", b"MISS"),
    ):
        received = await answer(nginx, link, *fields)
        assert b"x-choice: " + choice in received, (fields, received)
        assert b"X-Edge-Cache: " + edge_cache in received, (fields, received)
    plain = f"/_/resize:9:9/{url}".encode()
    for fields, edge_cache in (((), b"MISS"), ((b"sec-ch-width: 600",), b"HIT")):
        assert b"X-Edge-Cache: " + edge_cache in await answer(nginx, plain, *fields)


@pytest.mark.parametrize("ending", [b"#", b"#1", b"?#", b"?x#"])
async def test_a_target_with_a_fragment_is_rejected(server: LiveServer, ending: bytes) -> None:
    received = await answer(server.url, b"/health/live" + ending)
    assert status_codes(received) == [400]
    assert b"fragment" in received


async def test_an_empty_query_is_rejected_in_links_alone(server: LiveServer) -> None:
    response = await get(server.url, b"/_/resize:9:9/http://127.0.0.1:1/a.jpg?")
    assert response.status_code == 400
    assert "empty query" in response.json()["detail"]
    assert (await get(server.url, b"/health/live?")).status_code == 200


def test_the_shipped_locations_end_at_a_slash_or_with_the_path() -> None:
    (pattern,) = re.findall(r"location ~\* (\S*admin\S*) ", CONFIGURATION.read_text())
    location = re.compile(pattern, re.IGNORECASE)
    for path in ("/admin", "/Admin/purge", "//metrics", "/metrics/x"):
        assert location.search(path)
    assert not location.search("/adminXYZ0123456789abcd/a")
