"""Requests that go out, and those that do not."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from origin_server import FaultOrigin, Origin

from proxy.errors import ProxyError, SourceFailed, SourceForbidden, SourceTimedOut
from proxy.limits import Limits
from proxy.originals import Original, SourceRef
from proxy.sources.config import SourceConfig
from proxy.sources.http import HttpSource
from proxy.sources.net.http_client import HttpClient, HttpClientConfig
from proxy.sources.net.ssrf_policy import ADDRESS_NOT_ALLOWED, SsrfPolicy
from proxy.sources.net.url import parse_url
from proxy.sources.router import SourceRouter

pytestmark = pytest.mark.anyio

LOOPBACK = SsrfPolicy(allow_nets=["127.0.0.1"])
CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"


class Names:
    """A name server that says what the test wants, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def dialing(
    reach: SsrfPolicy = LOOPBACK,
    lookup: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
) -> AsyncIterator[HttpClient]:
    # Nothing here should reach a deadline, however busy the machine.
    dialer = HttpClient(reach, HttpClientConfig(connect_timeout_seconds=60, read_timeout_seconds=60), lookup)
    try:
        yield dialer
    finally:
        await dialer.close()


async def body(dialer: HttpClient, url: str) -> bytes:
    async with dialer.request("GET", parse_url(url)) as answer:
        return b"".join([chunk async for chunk in answer.chunks()])


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["0.0.0.0"],
        ["::"],
        ["64:ff9b::7f00:1"],
        ["10.0.0.1", "127.0.0.1"],
        ["fe80::1%lo", "127.0.0.1"],
        ["127.0.0.1"] * 5000,
        ["localhost"],
        ["2130706433"],
        ["127.1"],
    ],
)
async def test_a_name_is_no_way_round_the_policy(addresses: list[str]) -> None:
    async with FaultOrigin.saying(b"") as canary:
        names = Names(addresses)
        async with dialing(SsrfPolicy(), names) as dialer:
            with pytest.raises(SourceForbidden) as refused:
                await body(dialer, f"http://innocent.example:{canary.port}/")
            with pytest.raises(SourceForbidden) as literal:
                await body(dialer, canary.url())
        assert str(refused.value) == str(literal.value) == ADDRESS_NOT_ALLOWED
        assert refused.value.detail == literal.value.detail == ""
        assert canary.connections == 0


async def test_what_is_refused_looks_the_same_whether_anyone_listens() -> None:
    async with dialing(SsrfPolicy()) as dialer:
        async with FaultOrigin.saying(b"") as canary:
            url = canary.url()
            with pytest.raises(SourceForbidden) as somebody:
                await body(dialer, url)
            assert canary.connections == 0
        with pytest.raises(SourceForbidden) as nobody:
            await body(dialer, url)
    assert str(somebody.value) == str(nobody.value)


async def test_of_several_addresses_only_those_allowed_are_dialled(origin: Origin) -> None:
    names = Names(["10.0.0.1", "fd00::1", "127.0.0.1", "169.254.169.254"])
    url = origin.serve("/a.jpg", b"hello").replace("127.0.0.1", "mixed.example")
    async with dialing(LOOPBACK, names) as dialer:
        assert await body(dialer, url) == b"hello"


async def test_a_name_that_turns_between_two_look_ups_is_caught() -> None:
    """A connection is made anew each time here, so that each time the name is looked up."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with FaultOrigin.saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") as canary:
        async with dialing(LOOPBACK, names) as dialer:
            url = f"http://turning.example:{canary.port}/"
            assert await body(dialer, url) == b"hello"
            with pytest.raises(SourceForbidden):
                await body(dialer, url)
        assert (names.asked, canary.connections) == (2, 1)


async def test_a_name_without_an_address() -> None:
    async with dialing(LOOPBACK, Names([])) as dialer:
        with pytest.raises(SourceFailed, match="could not be looked up"):
            await body(dialer, "http://nowhere.example/")


async def test_a_name_that_is_not_known() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async with dialing(LOOPBACK, unknown) as dialer:
        with pytest.raises(SourceFailed, match="could not be looked up") as failed:
            await body(dialer, "http://nowhere.example/")
        assert not failed.value.transient


async def test_a_name_server_that_is_busy_may_be_asked_again() -> None:
    async def busy(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async with dialing(LOOPBACK, busy) as dialer:
        with pytest.raises(SourceFailed) as failed:
            await body(dialer, "http://nowhere.example/")
        assert failed.value.transient


async def test_a_name_server_that_hangs_does_not_hold_the_caller() -> None:
    async def hanging(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with dialing(LOOPBACK, hanging) as dialer:
        source = HttpSource(dialer, Limits(fetch_timeout_seconds=0.05))
        with pytest.raises(SourceTimedOut):
            await source.fetch(SourceRef("http://nowhere.example/"))


@pytest.mark.parametrize("host", ["localhost", "app.localhost"])
async def test_names_of_this_machine_are_this_machine(origin: Origin, host: str) -> None:
    url = origin.serve("/a.jpg", b"hello").replace("127.0.0.1", host)
    async with dialing() as dialer:
        assert await body(dialer, url) == b"hello"
    async with dialing(SsrfPolicy()) as dialer:
        with pytest.raises(SourceForbidden):
            await body(dialer, url)


async def test_a_server_that_is_reached_by_ipv6() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    origin = FaultOrigin.saying(answer)
    origin.host = "::1"
    async with origin:
        async with dialing(SsrfPolicy(allow_nets=["::1"])) as dialer:
            assert await body(dialer, origin.url()) == b"hello"
        async with dialing(SsrfPolicy()) as dialer:
            with pytest.raises(SourceForbidden):
                await body(dialer, origin.url())
        assert origin.connections == 1


async def test_scheme_host_and_port_are_measured_before_anything_is_looked_up() -> None:
    names = Names(["127.0.0.1"])
    reach = SsrfPolicy(allow_nets=["127.0.0.1"], allow_hosts=["example.com"], allow_http=False)
    async with dialing(reach, names) as dialer:
        for url in ("http://example.com/", "https://evil.example/", "https://example.com:25/"):
            with pytest.raises(SourceForbidden):
                await body(dialer, url)
    assert names.asked == 0


@pytest.fixture
async def secure() -> AsyncIterator[Origin]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    async with Origin(tls=context) as server:
        yield server


async def test_a_certificate_nobody_vouches_for_is_refused(secure: Origin) -> None:
    async with dialing() as dialer:
        with pytest.raises(SourceFailed, match="certificate"):
            await body(dialer, secure.serve("/a.jpg", b"hello"))
    assert not secure.asked


async def test_a_certificate_of_another_host_is_refused(
    secure: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    secure.serve("/a.jpg", b"hello")
    async with dialing(LOOPBACK, Names(["127.0.0.1"])) as dialer:
        assert await body(dialer, secure.url("/a.jpg", "origin.test")) == b"hello"
        with pytest.raises(SourceFailed, match="certificate"):
            await body(dialer, secure.url("/a.jpg", "other.test"))


async def test_a_secure_original_does_not_come_by_an_insecure_way(
    secure: Origin, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    plain = origin.serve("/a.jpg", b"hello")
    async with dialing() as dialer:
        source = HttpSource(dialer, Limits(fetch_timeout_seconds=60))
        url = secure.serve("/down", status=302, headers={"Location": plain})
        with pytest.raises(SourceForbidden, match="from https:// to http://"):
            await source.fetch(SourceRef(url))
        assert not origin.asked
        secure.serve("/b.jpg", b"hello")
        up = origin.serve("/up", status=302, headers={"Location": secure.url("/b.jpg")})
        assert isinstance(await source.fetch(SourceRef(up)), Original)


async def test_a_body_can_be_sent(origin: Origin) -> None:
    got: list[bytes] = []

    async def keep(request: web.BaseRequest) -> web.Response:
        got.append(await request.read())
        return web.Response(status=202)

    url = origin.handle("/hook", keep)
    async with dialing() as dialer, dialer.request("POST", parse_url(url), (), b"{}") as answer:
        assert answer.status == 202
    assert got == [b"{}"]


SPELLINGS = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev" / "ssrf-urls.tsv"


@pytest.mark.skipif(not SPELLINGS.exists(), reason="the collection of spellings is not here")
async def test_no_spelling_of_a_private_address_is_dialled() -> None:
    dialled: list[str] = []

    class Watching(SsrfPolicy):
        def admits_address(self, text: str) -> bool:
            admitted = super().allows_address(text)
            if admitted:
                dialled.append(text)
            return admitted

    class Watched(SourceConfig, frozen=True):
        def reach(self) -> SsrfPolicy:
            return Watching()

    sources = SourceRouter.from_config(Watched(), Limits(fetch_timeout_seconds=60))
    rows = [line.split("\t") for line in SPELLINGS.read_text(encoding="utf-8").splitlines()]
    for _, spelling in [row for row in rows if not row[0].startswith("#")]:
        text = spelling.encode("latin-1", "backslashreplace").decode("unicode_escape")
        with pytest.raises(ProxyError):
            await sources.fetch(SourceRef(text))
    await sources.close()
    assert not dialled


@pytest.mark.parametrize("size", [1000, 300_000, 5_000_000])
@pytest.mark.parametrize("turns", [0, 1, 10])
async def test_no_clock_runs_over_a_connection_that_nobody_uses(
    origin: Origin, size: int, turns: int
) -> None:
    """It would run out for whoever is given the connection next."""
    url = origin.serve("/a.jpg", bytes(size))
    async with dialing() as dialer:
        async with dialer.request("GET", parse_url(url)) as answer:
            async for _ in answer.chunks():
                for _ in range(turns):
                    await asyncio.sleep(0)  # who reads slowly has the other side wait
        assert dialer._session is not None
        assert isinstance(dialer._session.connector, aiohttp.BaseConnector)
        ((resting, _),) = next(iter(dialer._session.connector._conns.values()))
        assert resting._read_timeout_handle is None
