"""SSRF: links to addresses that are not allowed open no connection, and disclose nothing."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from live_server import LiveServer, live_server
from origin_server import OriginServer
from security.raw_http import get
from security.response_checks import check_response

pytestmark = pytest.mark.anyio

SSRF_URLS = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev" / "ssrf-urls.tsv"
CANARY = 18081

HOSTS = [
    *("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0177.0.0.1", "2130706433", "0x7f000001"),
    *("017700000001", "127.0.0.1.", "127.255.255.254", "0.0.0.0", "0", "localhost", "LOCALHOST"),
    *("localhost.", "a.localhost", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]"),
    *("[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:0:0:0:0:80ff:fffe]", "[fe80::1%25lo]"),
    *("[fe80::5efe:7f00:1]", "[::1]%00", "127.0.0.1%00", "127.0.0.1%0a", "①②⑦.⓪.⓪.①"),
    *(
        "\uff11\uff12\uff17.0.0.1",
        "127。0。0。1",
        "127%2e0.0.1",
        "1%3227.0.0.1",
        "127.0.0.1#@a.example",
    ),
    *("a.example@127.0.0.1", "a@b@127.0.0.1", "127.0.0.1\\@a.example", "127.0.0.1;a.example"),
    *("127.0.0.1 ", "127.0.0.1%20", "127.0.0.\t1", "lo\u00adcalhost", "[::1", "::1", "[127.0.0.1]"),
    *("169.254.169.254", "0xa9fea9fe", "[fd00:ec2::254]", "168.63.129.16", "100.100.100.200"),
    *(
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "[ff02::1]",
    ),
    *("255.255.255.255", "192.0.0.192", "[fc00::1]", "[2001:db8::1]", "[3fff::1]", "127.0.0.1:+80"),
]
OTHERS = [
    *(
        "file:///etc/passwd",
        "ftp://127.0.0.1:18081/",
        "gopher://127.0.0.1:18081/_x",
        "//127.0.0.1/",
    ),
    *("data:image/png;base64,AAAA", "upload:x", "local:///etc/passwd", "http:127.0.0.1:18081/"),
    *("http:///127.0.0.1:18081/", "http:\\\\127.0.0.1:18081\\", "https:/127.0.0.1:18081/", "*", ""),
    *(
        "javascript:1",
        "http+unix://%2Frun%2Fx/",
        "jar:http://127.0.0.1:18081/!/a",
        "dict://127.0.0.1",
    ),
]


def listed_sources() -> list[str]:
    if not SSRF_URLS.exists():
        return []
    rows = [line.split("\t") for line in SSRF_URLS.read_text().splitlines()[1:]]
    return [codecs.decode(row[1] if len(row) > 1 else "", "unicode_escape") for row in rows]


SOURCES = [*(f"http://{host}:{CANARY}/canary" for host in HOSTS), *OTHERS, *listed_sources()]


@pytest.fixture(scope="module")
def default_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the default SSRF policy, but unsigned links and any port."""
    environment = {"FRAMEKEEP_SOURCES_ALLOW_NETS": ""}
    with live_server(tmp_path_factory.mktemp("cache"), environment) as server:
        yield server


class Canary:
    """Counts connections to a port, on every address of loopback."""

    def __init__(self) -> None:
        self.connections = 0

    async def _on_connection(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[int]:
        async with await asyncio.start_server(self._on_connection, "0.0.0.0", port) as server:
            yield int(server.sockets[0].getsockname()[1])


async def test_no_link_opens_a_connection_to_a_denied_address(default_server: LiveServer) -> None:
    canary = Canary()
    async with canary.listening(0) as port:
        for source in SOURCES:
            target = source.replace(str(CANARY), str(port))
            for encoded in (quote(target, safe=":/?&=[]@;%\\#!'()*,+"), quote(target, safe="")):
                response = await get(default_server.url, f"/_/{encoded}".encode())
                check_response(response)
                assert 400 <= response.status_code < 500 or response.status_code == 502, (
                    target,
                    response,
                )
    assert canary.connections == 0


async def test_an_allowed_link_does_open_a_connection(tmp_path: Path) -> None:
    """The operator allows it here, so the test above can fail."""
    canary = Canary()
    with live_server(tmp_path) as open_server:
        async with canary.listening(0) as port:
            await get(open_server.url, f"/_/http://127.0.0.1:{port}/canary".encode())
    assert canary.connections > 0


async def test_an_open_a_closed_and_an_unreachable_port_give_the_same_response(
    default_server: LiveServer, origin: OriginServer
) -> None:
    open_port = origin.serve("/a.jpg", b"x")
    async with Canary().listening(0) as port:
        closed = port
    responses = [
        await get(default_server.url, f"/_/{source}".encode())
        for source in (open_port, f"http://127.0.0.1:{closed}/", "http://10.255.255.1/")
    ]
    bodies = [{**response.json(), "instance": ""} for response in responses]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [response.status_code for response in responses] == [403, 403, 403]
    assert origin.requests == []


async def test_a_redirect_to_a_denied_address_is_not_followed(
    tmp_path: Path, origin: OriginServer
) -> None:
    """The first hop is allowed by its address; the second is another one of loopback."""
    canary = Canary()
    with live_server(tmp_path, {"FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.1/32"}) as server:
        async with canary.listening(0) as port:
            for number, host in enumerate(("127.0.0.2", "127.1.1.1", "[::1]", "0.0.0.0")):
                location = {"Location": f"http://{host}:{port}/"}
                source = origin.serve(f"/{number}", status=302, headers=location)
                response = await get(server.url, f"/_/{source}".encode())
                check_response(response)
                assert response.status_code in (403, 502)
    assert canary.connections == 0
