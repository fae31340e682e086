"""The HTTP client: requests that are sent, and those that the SSRF policy stops."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from origin_server import FaultyOrigin, OriginServer

from proxy.errors import ProxyError, SourceFailed, SourceForbidden, SourceTimedOut
from proxy.limits import Limits
from proxy.originals import Original, SourceRef
from proxy.sources.config import SourceConfig
from proxy.sources.http import HttpSource
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ADDRESS_NOT_ALLOWED, SsrfPolicy
from proxy.sources.net.url import parse_url
from proxy.sources.router import SourceRouter

pytestmark = pytest.mark.anyio

LOOPBACK = SsrfPolicy(allow_nets=["127.0.0.1"])
CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"


class FakeResolver:
    """Resolves every name to the addresses of the test, and counts."""

    def __init__(self, *results: Sequence[str]) -> None:
        self.results = list(results)
        self.calls = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.calls += 1
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


@asynccontextmanager
async def open_client(
    policy: SsrfPolicy = LOOPBACK,
    resolver: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
) -> AsyncIterator[HttpClient]:
    # Timeouts that nothing should reach on a busy machine.
    config = HttpClientConfig(connect_timeout_seconds=60, read_timeout_seconds=60)
    client = HttpClient(policy, config, resolver)
    try:
        yield client
    finally:
        await client.close()


async def get(client: HttpClient, url: str) -> bytes:
    async with client.request("GET", parse_url(url)) as response:
        return b"".join([chunk async for chunk in response.chunks()])


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
async def test_a_name_does_not_bypass_the_policy(addresses: list[str]) -> None:
    async with FaultyOrigin.sending(b"") as canary:
        resolver = FakeResolver(addresses)
        async with open_client(SsrfPolicy(), resolver) as client:
            with pytest.raises(SourceForbidden) as by_name:
                await get(client, f"http://innocent.example:{canary.port}/")
            with pytest.raises(SourceForbidden) as by_address:
                await get(client, canary.url())
        assert str(by_name.value) == str(by_address.value) == ADDRESS_NOT_ALLOWED
        assert by_name.value.detail == by_address.value.detail == ""
        assert canary.connections == 0


async def test_a_denied_address_looks_the_same_whether_anything_listens() -> None:
    async with open_client(SsrfPolicy()) as client:
        async with FaultyOrigin.sending(b"") as canary:
            url = canary.url()
            with pytest.raises(SourceForbidden) as somebody:
                await get(client, url)
            assert canary.connections == 0
        with pytest.raises(SourceForbidden) as nobody:
            await get(client, url)
    assert str(somebody.value) == str(nobody.value)


async def test_only_the_allowed_addresses_of_a_name_are_used(origin: OriginServer) -> None:
    resolver = FakeResolver(["10.0.0.1", "fd00::1", "127.0.0.1", "169.254.169.254"])
    url = origin.serve("/a.jpg", b"hello").replace("127.0.0.1", "mixed.example")
    async with open_client(LOOPBACK, resolver) as client:
        assert await get(client, url) == b"hello"


async def test_dns_rebinding_is_stopped() -> None:
    """Each request opens a new connection here, so each time the name is resolved."""
    resolver = FakeResolver(["127.0.0.1"], ["127.0.0.2"])
    async with FaultyOrigin.sending(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") as canary:
        async with open_client(LOOPBACK, resolver) as client:
            url = f"http://turning.example:{canary.port}/"
            assert await get(client, url) == b"hello"
            with pytest.raises(SourceForbidden):
                await get(client, url)
        assert (resolver.calls, canary.connections) == (2, 1)


async def test_a_name_without_an_address_is_an_error() -> None:
    async with open_client(LOOPBACK, FakeResolver([])) as client:
        with pytest.raises(SourceFailed, match="host name not resolved"):
            await get(client, "http://nowhere.example/")


async def test_an_unknown_name_is_an_error() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async with open_client(LOOPBACK, unknown) as client:
        with pytest.raises(SourceFailed, match="host name not resolved") as failed:
            await get(client, "http://nowhere.example/")
        assert not failed.value.transient


async def test_a_busy_name_server_is_a_transient_failure() -> None:
    async def busy(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async with open_client(LOOPBACK, busy) as client:
        with pytest.raises(SourceFailed) as failed:
            await get(client, "http://nowhere.example/")
        assert failed.value.transient


async def test_a_name_server_that_hangs_ends_in_a_timeout() -> None:
    async def hanging(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with open_client(LOOPBACK, hanging) as client:
        source = HttpSource(client, Limits(fetch_timeout_seconds=0.05))
        with pytest.raises(SourceTimedOut):
            await source.fetch(SourceRef("http://nowhere.example/"))


@pytest.mark.parametrize("host", ["localhost", "app.localhost"])
async def test_localhost_names_are_loopback(origin: OriginServer, host: str) -> None:
    url = origin.serve("/a.jpg", b"hello").replace("127.0.0.1", host)
    async with open_client() as client:
        assert await get(client, url) == b"hello"
    async with open_client(SsrfPolicy()) as client:
        with pytest.raises(SourceForbidden):
            await get(client, url)


async def test_a_server_is_reached_by_ipv6() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    origin = FaultyOrigin.sending(answer)
    origin.host = "::1"
    async with origin:
        async with open_client(SsrfPolicy(allow_nets=["::1"])) as client:
            assert await get(client, origin.url()) == b"hello"
        async with open_client(SsrfPolicy()) as client:
            with pytest.raises(SourceForbidden):
                await get(client, origin.url())
        assert origin.connections == 1


async def test_scheme_host_and_port_are_checked_before_the_name_is_resolved() -> None:
    resolver = FakeResolver(["127.0.0.1"])
    policy = SsrfPolicy(allow_nets=["127.0.0.1"], allow_hosts=["example.com"], allow_http=False)
    async with open_client(policy, resolver) as client:
        for url in ("http://example.com/", "https://evil.example/", "https://example.com:25/"):
            with pytest.raises(SourceForbidden):
                await get(client, url)
    assert resolver.calls == 0


@pytest.fixture
async def secure() -> AsyncIterator[OriginServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    async with OriginServer(tls=context) as server:
        yield server


async def test_an_untrusted_certificate_is_an_error(secure: OriginServer) -> None:
    async with open_client() as client:
        with pytest.raises(SourceFailed, match="certificate"):
            await get(client, secure.serve("/a.jpg", b"hello"))
    assert not secure.requests


async def test_a_certificate_of_another_host_is_an_error(
    secure: OriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    secure.serve("/a.jpg", b"hello")
    async with open_client(LOOPBACK, FakeResolver(["127.0.0.1"])) as client:
        assert await get(client, secure.url("/a.jpg", "origin.test")) == b"hello"
        with pytest.raises(SourceFailed, match="certificate"):
            await get(client, secure.url("/a.jpg", "other.test"))


async def test_a_redirect_from_https_to_http_is_denied(
    secure: OriginServer, origin: OriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    plain = origin.serve("/a.jpg", b"hello")
    async with open_client() as client:
        source = HttpSource(client, Limits(fetch_timeout_seconds=60))
        url = secure.serve("/down", status=302, headers={"Location": plain})
        with pytest.raises(SourceForbidden, match="from https:// to http://"):
            await source.fetch(SourceRef(url))
        assert not origin.requests
        secure.serve("/b.jpg", b"hello")
        up = origin.serve("/up", status=302, headers={"Location": secure.url("/b.jpg")})
        assert isinstance(await source.fetch(SourceRef(up)), Original)


async def test_a_response_that_cannot_have_a_body_has_ended(origin: OriginServer) -> None:
    url = origin.serve("/no-content", status=204)
    async with open_client() as client:
        assert await get(client, url) == b""


async def test_a_body_is_sent(origin: OriginServer) -> None:
    got: list[bytes] = []

    async def keep(request: web.BaseRequest) -> web.Response:
        got.append(await request.read())
        return web.Response(status=202)

    url = origin.handle("/hook", keep)
    async with (
        open_client() as client,
        client.request("POST", parse_url(url), (), b"{}") as response,
    ):
        assert response.status == 202
    assert got == [b"{}"]


SSRF_URLS = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev" / "ssrf-urls.tsv"


@pytest.mark.skipif(not SSRF_URLS.exists(), reason="the collection of SSRF URLs is missing")
async def test_no_form_of_a_private_address_is_allowed() -> None:
    allowed: list[str] = []

    class RecordingPolicy(SsrfPolicy):
        def allows_address(self, text: str) -> bool:
            is_allowed = super().allows_address(text)
            if is_allowed:
                allowed.append(text)
            return is_allowed

    class RecordingConfig(SourceConfig, frozen=True):
        def ssrf_policy(self) -> SsrfPolicy:
            return RecordingPolicy()

    sources = SourceRouter.from_config(RecordingConfig(), Limits(fetch_timeout_seconds=60))
    rows = [line.split("\t") for line in SSRF_URLS.read_text(encoding="utf-8").splitlines()]
    for _, url in [row for row in rows if not row[0].startswith("#")]:
        text = url.encode("latin-1", "backslashreplace").decode("unicode_escape")
        with pytest.raises(ProxyError):
            await sources.fetch(SourceRef(text))
    await sources.close()
    assert not allowed


@pytest.mark.parametrize("size", [1000, 300_000, 5_000_000])
@pytest.mark.parametrize("pauses", [0, 1, 10])
async def test_no_read_timeout_runs_on_an_idle_connection(
    origin: OriginServer, size: int, pauses: int
) -> None:
    """It would fail the next request on this connection."""
    url = origin.serve("/a.jpg", bytes(size))
    async with open_client() as client:
        async with client.request("GET", parse_url(url)) as response:
            async for _ in response.chunks():
                for _ in range(pauses):
                    await asyncio.sleep(0)  # a slow reader pauses the connection
        assert client._session is not None
        assert isinstance(client._session.connector, aiohttp.BaseConnector)
        ((idle, _),) = next(iter(client._session.connector._conns.values()))
        assert idle._read_timeout_handle is None
