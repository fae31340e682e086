"""HTTP requests that go out: the one place where we dial, and the one that imports aiohttp.

Rule 1  The address a socket is opened for is the address that is checked: `socket_factory` sees
        what `connect` will get, for names and literal addresses alike, on each new connection.
Rule 2  Nothing is followed, decoded or remembered here: no redirects, no content encodings, no
        cookies, no proxy or credentials from the environment, no cached look-ups.
Rule 3  Each host has a bounded number of connections, so a slow one cannot take them all.
Rule 4  Every aiohttp exception ends here, as a SourceError.
"""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from msgspec import Meta, Struct
from yarl import URL

from proxy.errors import SourceFailed, SourceForbidden, SourceTimedOut
from proxy.limits import Seconds
from proxy.sources.net import via
from proxy.sources.net.dns import Resolver, SystemResolver
from proxy.sources.net.ssrf_policy import ADDRESS_NOT_ALLOWED, SsrfPolicy
from proxy.sources.net.url import Url, redact_queries

# A name may have thousands of addresses, and all of them would be tried in turn, again and again.
MAX_ADDRESSES_PER_FAMILY = 4


class HttpClientConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests go out."""

    user_agent: Annotated[str, Meta(pattern=r"^[\x21-\x7e][\x20-\x7e]{0,254}$")] = "Framekeep"
    """What we call ourselves to the servers we ask."""

    connect_timeout_seconds: Seconds = 3.0
    """Longest time to connect, TLS included."""

    read_timeout_seconds: Seconds = 5.0
    """Longest silence while waiting for an answer or for more of it."""

    max_connections: Annotated[int, Meta(ge=1, le=65_535)] = 128
    """Most connections at a time, all hosts together."""

    max_connections_per_host: Annotated[int, Meta(ge=1, le=65_535)] = 16
    """Most connections at a time to one host and port."""


class HttpResponse:
    """What the server said; the body is read once, by `chunks`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        """The values of a header, joined by commas; empty where it is missing.

        Also where it is not printable ASCII: it could not be sent back or kept as it came.
        """
        joined = ", ".join(self._response.headers.getall(name, ())).replace("\t", " ")
        return joined if joined.isascii() and joined.isprintable() else ""

    def location(self) -> str:
        """Where a redirect leads, as it came."""
        return self._response.headers.get("Location", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; ends early only by an error."""
        # As they came: to join what has come meanwhile would copy every byte once more.
        async for chunk, _ in self._response.content.iter_chunks():
            if chunk:
                yield chunk


class HttpClient:
    """Asks servers within reach, over pooled connections. Made once, used in one event loop."""

    def __init__(
        self, policy: SsrfPolicy, config: HttpClientConfig | None = None, resolver: Resolver | None = None
    ) -> None:
        self._reach = policy
        self._how = config or HttpClientConfig()
        self._lookup = resolver or SystemResolver()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: Url,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> AsyncIterator[HttpResponse]:
        """The answer to one request, for as long as the block lasts.

        Raises SourceForbidden where policy says no, SourceTimedOut, or SourceFailed. Errors while
        the body is read inside the block come out of it in the same form.
        """
        self._reach.check_url(url)
        if self._session is None:
            self._session = self._open_session()
        try:
            async with self._session.request(
                method,
                URL(url.text, encoded=True),
                headers={
                    "User-Agent": self._how.user_agent,
                    "Accept": "*/*",
                    "Accept-Encoding": "identity",
                    "Via": f"1.1 {via.PSEUDONYM}",
                    **{name.title(): value for name, value in headers},
                },
                data=body,
                allow_redirects=False,
            ) as response:
                yield HttpResponse(response)
        except aiohttp.ClientError as error:
            raise _translated(error) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if isinstance(self._lookup, SystemResolver):
            self._lookup.close()

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Connector(
                limit=self._how.max_connections,
                limit_per_host=self._how.max_connections_per_host,
                resolver=_Resolver(self._lookup),
                socket_factory=self._open_socket,
                use_dns_cache=False,
                ssl=ssl.create_default_context(),
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._how.connect_timeout_seconds, sock_read=self._how.read_timeout_seconds
            ),
            trust_env=False,
        )

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._reach.allows_address(str(address[0])):
            raise _Refused
        return socket.socket(family=family, type=kind, proto=protocol)


class _Protocol(ResponseHandler):
    """Where aiohttp's own loses sight of a body's end."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on after a pause, and take no clock along into the pool.

        Where the rest of a body had come before the pause, aiohttp parses it, gives the connection
        back, and then starts the clock for silence. It would run out for whoever is next.
        """
        payload = self._payload
        going_on = payload is not None and not payload.is_eof()
        super().resume_reading(resume_parser)
        if going_on and payload is not None and payload.is_eof():
            self._drop_timeout()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take a body that is broken off for broken.

        aiohttp takes a reset for the end where a body has no other end than the connection's.
        """
        if exc is not None and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError("reset in the body"))
        super().connection_lost(exc)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(partial[ResponseHandler], partial(_Protocol, loop=self._loop))


class _Refused(OSError):
    """Nothing was dialled. An OSError, since aiohttp goes on to a name's next address only then."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "refused by policy")


class _Resolver(AbstractResolver):
    """Hands a look-up of ours to aiohttp."""

    def __init__(self, lookup: Resolver) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # both, always
        found = await self._lookup(host, port)
        sixes = [address for address in found if ":" in address][:MAX_ADDRESSES_PER_FAMILY]
        fours = [address for address in found if ":" not in address][:MAX_ADDRESSES_PER_FAMILY]
        if not found:
            raise OSError(errno.ENODATA, "no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in (*sixes, *fours)
        ]

    async def close(self) -> None:
        """Nothing to close: the look-up belongs to the dialer."""


# The first that fits. Where it says True, another try may well do better.
_REASONS: tuple[tuple[type[aiohttp.ClientError], str, bool], ...] = (
    (aiohttp.ClientSSLError, "the source's TLS certificate or handshake is bad", False),
    (aiohttp.ClientConnectorError, "the source could not be reached", True),
    (aiohttp.ClientPayloadError, "the source broke off in the middle of its answer", True),
    # aiohttp has tried these a second time already, on a fresh connection.
    (aiohttp.ServerDisconnectedError, "the source broke off before it answered", False),
    (aiohttp.ClientOSError, "the source broke off before it answered", False),
    (aiohttp.ClientError, "the source's answer is not proper HTTP", False),
)


def _translated(error: aiohttp.ClientError) -> SourceFailed | SourceForbidden | SourceTimedOut:
    detail = redact_queries(f"{type(error).__name__}: {error}")
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _Refused):
        return SourceForbidden(ADDRESS_NOT_ALLOWED)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        busy = error.os_error.errno == socket.EAI_AGAIN
        sentence = "the source's host name could not be looked up"
        return SourceFailed(sentence, transient=busy, detail=detail)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return SourceTimedOut("the source was silent for too long", detail=detail)
    sentence, transient = next(
        (sentence, transient) for kind, sentence, transient in _REASONS if isinstance(error, kind)
    )
    return SourceFailed(sentence, transient=transient, detail=detail)
