"""Links that lead where nobody may go: nothing is dialled, and the answer tells nothing."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from live_server import Served, serving
from origin_server import Origin
from security.answers import is_sound
from security.raw import ask

pytestmark = pytest.mark.anyio

GIVEN = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev" / "ssrf-urls.tsv"
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


def given() -> list[str]:
    if not GIVEN.exists():
        return []
    rows = [line.split("\t") for line in GIVEN.read_text().splitlines()[1:]]
    return [codecs.decode(row[1] if len(row) > 1 else "", "unicode_escape") for row in rows]


SOURCES = [*(f"http://{host}:{CANARY}/canary" for host in HOSTS), *OTHERS, *given()]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server as it comes, but for unsigned links and a port that the canary may listen on."""
    environment = {"FRAMEKEEP_SOURCES_ALLOW_NETS": ""}
    with serving(tmp_path_factory.mktemp("cache"), environment) as server:
        yield server


class Canary:
    """Listens where nobody should come, on every address of loopback."""

    def __init__(self) -> None:
        self.visits = 0

    async def visited(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[int]:
        async with await asyncio.start_server(self.visited, "0.0.0.0", port) as server:
            yield int(server.sockets[0].getsockname()[1])


async def test_nobody_is_dialled_wherever_a_link_leads(guarded: Served) -> None:
    canary = Canary()
    async with canary.listening(0) as port:
        for source in SOURCES:
            led = source.replace(str(CANARY), str(port))
            for spelled in (quote(led, safe=":/?&=[]@;%\\#!'()*,+"), quote(led, safe="")):
                answer = await ask(guarded.url, f"/_/{spelled}".encode())
                is_sound(answer)
                assert 400 <= answer.status_code < 500 or answer.status_code == 502, (led, answer)
    assert canary.visits == 0


async def test_the_canary_would_have_sung(tmp_path: Path) -> None:
    """The same port is dialled where the operator says so: the test above can fail."""
    canary = Canary()
    with serving(tmp_path) as open_server:
        async with canary.listening(0) as port:
            await ask(open_server.url, f"/_/http://127.0.0.1:{port}/canary".encode())
    assert canary.visits > 0


async def test_what_answers_what_is_shut_and_what_is_not_there_look_the_same(
    guarded: Served, origin: Origin
) -> None:
    there = origin.serve("/a.jpg", b"x")
    async with Canary().listening(0) as port:
        shut = port
    answers = [
        await ask(guarded.url, f"/_/{source}".encode())
        for source in (there, f"http://127.0.0.1:{shut}/", "http://10.255.255.1/")
    ]
    told = [{**answer.json(), "instance": ""} for answer in answers]
    assert told[0] == told[1] == told[2]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert origin.asked == []


async def test_a_redirect_to_where_nobody_may_go_is_not_followed(
    tmp_path: Path, origin: Origin
) -> None:
    """The first hop is listed by its own address; the second is another one of loopback."""
    canary = Canary()
    with serving(tmp_path, {"FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.1/32"}) as served:
        async with canary.listening(0) as port:
            for number, host in enumerate(("127.0.0.2", "127.1.1.1", "[::1]", "0.0.0.0")):
                location = {"Location": f"http://{host}:{port}/"}
                source = origin.serve(f"/{number}", status=302, headers=location)
                answer = await ask(served.url, f"/_/{source}".encode())
                is_sound(answer)
                assert answer.status_code in (403, 502)
    assert canary.visits == 0
