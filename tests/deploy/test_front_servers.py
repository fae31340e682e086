"""The shipped configurations of nginx, HAProxy and Varnish, in front of real servers."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pictures
import pytest
from front_servers import find_program, nginx_command
from live_server import LiveServer, live_server
from render_processes import wait_until

from proxy.cache.cdn.http_purge import HttpPurgeCdn
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

DEPLOY = Path(__file__).parents[2] / "deploy"
PNG = pictures.encode(pictures.plain(20, 20))
SOURCES = 20  # so many that two servers get some of them each


@asynccontextmanager
async def running(*command: str | Path, listening: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a server; yields a client of the socket that it listens on."""
    process = await asyncio.create_subprocess_exec(*map(str, command))

    def accepts() -> bool:
        assert process.returncode is None, command
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(listening)) == 0

    try:
        await wait_until(accepts)
        transport = httpx2.AsyncHTTPTransport(uds=str(listening))
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://front", timeout=120
        ) as client:
            yield client
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def with_addresses(configuration: str, servers: list[LiveServer]) -> str:
    """The configuration with the addresses of these servers."""
    for number, server in enumerate(servers, 8081):
        assert configuration.count(f"127.0.0.1:{number}") == 1
        configuration = configuration.replace(f"127.0.0.1:{number}", server.url[7:])
    return configuration


def start_nginx(servers: list[LiveServer], folder: Path) -> tuple[list[str | Path], Path]:
    listening = folder / "listen"
    configuration = with_addresses((DEPLOY / "fleet/nginx.conf").read_text(), servers)
    assert "listen 8080;" in configuration
    configuration = configuration.replace("listen 8080;", f"listen unix:{listening};")
    return nginx_command(configuration, folder), listening


def start_haproxy(servers: list[LiveServer], folder: Path) -> tuple[list[str | Path], Path]:
    listening = folder / "listen"
    configuration = with_addresses((DEPLOY / "fleet/haproxy.cfg").read_text(), servers)
    assert "bind :8080\n" in configuration
    configuration = configuration.replace("bind :8080\n", f"bind unix@{listening}\n")
    (folder / "haproxy.cfg").write_text(configuration)
    return [find_program("haproxy"), "-db", "-f", folder / "haproxy.cfg"], listening


ROUTERS = {"nginx": start_nginx, "haproxy": start_haproxy}
StartRouter = Callable[[list[LiveServer], Path], tuple[list[str | Path], Path]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LiveServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(live_server(tmp_path_factory.mktemp("cache"))) for _ in range(2)]


@pytest.mark.parametrize("start", ROUTERS.values(), ids=ROUTERS)
async def test_all_sizes_of_a_source_are_made_by_one_server(
    pair: list[LiveServer], tmp_path: Path, start: StartRouter
) -> None:
    origin = pair[0].origin
    urls = [origin.serve(f"/{start.__name__}/{number}.png", PNG) for number in range(SOURCES)]
    owners = set()
    command, listening = start(pair, tmp_path)
    async with running(*command, listening=listening) as client, httpx2.AsyncClient() as direct:
        for url in urls:
            escaped = url.replace(":", "%3A").replace("/", "%2F")
            for link in (f"/_/resize:9:9/{url}", f"/_/resize:8:8/tag:x/{url}"):
                assert (await client.get(link)).status_code == 200
            assert origin.count(f"/{url.split('/', 3)[3]}") == 1
            answers = [await direct.get(f"{server.url}/_/resize:9:9/{url}") for server in pair]
            states = [answer.headers["x-cache"] for answer in answers]
            assert sorted(states) == ["hit", "miss"]
            owners.add(states.index("hit"))
            assert (await client.get(f"/_/resize:7:7/{escaped}")).status_code == 200
    assert owners == {0, 1}


@pytest.mark.parametrize("start", ROUTERS.values(), ids=ROUTERS)
async def test_private_paths_are_not_routed(
    pair: list[LiveServer], tmp_path: Path, start: StartRouter
) -> None:
    command, listening = start(pair, tmp_path)
    async with running(*command, listening=listening) as client:
        for path in ("/metrics", "/admin/purge", "/playground", "//metrics", "/METRICS"):
            answer = await client.get(f"http://front{path}")
            assert answer.status_code == 404
            assert "problem+json" not in answer.headers["content-type"]


@pytest.mark.parametrize("start", ROUTERS.values(), ids=ROUTERS)
async def test_a_lost_server_loses_no_answer(
    pair: list[LiveServer], tmp_path: Path, start: StartRouter
) -> None:
    with ExitStack() as stack:
        lost = stack.enter_context(live_server(tmp_path / "cache"))
        command, listening = start([lost, pair[1]], tmp_path)
        async with running(*command, listening=listening) as client:
            stack.close()
            for number in range(SOURCES):
                url = pair[1].origin.serve(f"/lost/{start.__name__}/{number}.png", PNG)
                assert (await client.get(f"/_/resize:9:9/{url}")).status_code == 200


@pytest.fixture
async def varnish(
    pair: list[LiveServer], tmp_path: Path
) -> AsyncIterator[tuple[httpx2.AsyncClient, HttpPurgeCdn]]:
    """A client of Varnish with the shipped configuration, and what purges it."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("Varnish needs a C compiler")
    configuration = (DEPLOY / "varnish.vcl").read_text()
    address = '.host = "127.0.0.1";\n    .port = "8080";'
    assert address in configuration
    port = pair[0].url.rpartition(":")[2]
    configuration = configuration.replace(address, f'.host = "127.0.0.1";\n    .port = "{port}";')
    (tmp_path / "varnish.vcl").write_text(configuration)
    listening = tmp_path / "listen"
    command = (
        *(find_program("varnishd"), "-F", "-j", "none", "-n", tmp_path / "work"),
        *("-f", tmp_path / "varnish.vcl", "-s", "malloc,32m"),
        *("-a", listening, "-a", "purges=127.0.0.1:0"),
    )
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(running(*command, listening=listening))
        adm = await asyncio.create_subprocess_exec(
            *(find_program("varnishadm"), "-n", tmp_path / "work", "debug.listen_address"),
            stdout=asyncio.subprocess.PIPE,
        )
        addresses, _ = await adm.communicate()
        match = re.search(r"purges 127\.0\.0\.1 (\d+)", addresses.decode())
        assert match is not None, addresses
        http_client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]))
        stack.push_async_callback(http_client.close)
        yield client, HttpPurgeCdn(http_client, f"http://127.0.0.1:{match[1]}/", "BAN")


async def test_varnish_serves_what_it_has_until_it_is_purged(
    varnish: tuple[httpx2.AsyncClient, HttpPurgeCdn], pair: list[LiveServer]
) -> None:
    client, cdn = varnish
    url = pair[0].origin.serve("/varnish.png", PNG)

    async def edge_cache(link: str, accept: str = "*/*") -> str:
        answer = await client.get(link, headers={"accept": accept, "cookie": "a=1"})
        assert answer.status_code == 200
        return answer.headers["x-edge-cache"]

    link, other = (
        f"/_/{size}/tag:{tag}/{url}" for size, tag in (("resize:9", "a"), ("trim", "ab"))
    )
    negotiated = f"/_/resize:8/convert:auto/tag:c/{url}"
    for one in (link, other, negotiated):
        assert await edge_cache(one) == "MISS"
        assert await edge_cache(one) == "HIT"
    assert await edge_cache(negotiated, "image/webp,*/*;q=0.8") == "MISS"
    assert await edge_cache(negotiated, "text/html, image/webp;q=0.5") == "HIT"
    assert await edge_cache(negotiated, "image/webp;q=0") == "HIT"

    await cdn.purge(["a"], soft=False)
    assert await edge_cache(link) == "MISS"
    assert await edge_cache(other) == "HIT"
    await cdn.purge(["framekeep"], soft=False)
    assert await edge_cache(other) == "MISS"


async def test_varnish_keeps_one_copy_for_each_choice_of_client_hints(
    varnish: tuple[httpx2.AsyncClient, HttpPurgeCdn], pair: list[LiveServer]
) -> None:
    client, _ = varnish
    url = pair[0].origin.serve("/hinted.png", PNG)
    link = f"/_/resize:{{auto,12,320,640,1280}}/dpr:{{auto,1,2}}/save_data/{url}"
    for headers, choice, edge_cache in (
        ({}, "12:1", "MISS"),
        ({"width": "500", "dpr": "2", "sec-ch-width": "x"}, "12:1", "HIT"),
        ({"sec-ch-width": "600"}, "640:1", "MISS"),
        ({"sec-ch-width": "641"}, "640:1", "HIT"),
        ({"sec-ch-width": "642"}, "1280:1", "MISS"),
        ({"sec-ch-width": "1200", "sec-ch-dpr": "1.75"}, "640:2", "MISS"),
        ({"sec-ch-width": "1280", "sec-ch-dpr": "2"}, "640:2", "HIT"),
        ({"sec-ch-width": "1280", "sec-ch-dpr": "2", "save-data": "on"}, "640:1", "MISS"),
    ):
        answer = await client.get(link, headers=headers)
        found = (answer.headers["x-choice"], answer.headers["x-edge-cache"])
        assert found == (choice, edge_cache), headers


async def test_varnish_hides_private_paths_and_bans_of_strangers(
    varnish: tuple[httpx2.AsyncClient, HttpPurgeCdn],
) -> None:
    client, _ = varnish
    for path in ("/metrics", "/admin/purge", "/metrics?x", "//metrics"):
        assert (await client.get(f"http://front{path}")).status_code == 404
    # By the socket of the file system, no address is known.
    stranger = await client.request("BAN", "/", headers={"x-ban-tags": "framekeep"})
    assert stranger.status_code == 403
