"""The HTTP client for outgoing requests; beside `proxy.compat` the only module with aiohttp.

Rule 1  The address that a socket connects to is the address that is checked: `socket_factory` gets
        what `connect` will get, for names and literal addresses alike, on each new connection.
Rule 2  Nothing is followed, decoded or remembered: no redirects, no content encodings, no cookies,
        no proxy and no credentials from the environment, no DNS cache.
Rule 3  Connections are limited for each host, so that a slow one cannot take all of them.
Rule 4  Every aiohttp exception ends here, as a SourceError.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Annotated

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Meta, Struct
from yarl import URL

from proxy.compat.aiohttp import Connector
from proxy.errors import SourceFailed, SourceForbidden, SourceTimedOut
from proxy.limits import Seconds
from proxy.sources.net.dns import Resolver, SystemResolver
from proxy.sources.net.ssrf_policy import ADDRESS_NOT_ALLOWED, SsrfPolicy
from proxy.sources.net.url import Url, redact_queries
from proxy.sources.net.via import PSEUDONYM

# A name may have thousands of addresses, and each connection attempt would try all of them in turn.
MAX_ADDRESSES_PER_FAMILY = 4

_IDEMPOTENT = frozenset(("GET", "HEAD"))  # what may be sent again


class HttpClientConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Timeouts and connection limits of outgoing HTTP requests."""

    user_agent: Annotated[
        str,
        Meta(
            pattern=r"^[\x21-\x7e][\x20-\x7e]{0,254}$",
            description="`User-Agent` of requests to sources.",
        ),
    ] = "Framekeep"

    connect_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds to connect to a source, TLS handshake included. After it the "
                "attempt fails."
            )
        ),
    ] = 3.0

    read_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds to wait for the response of a source, or for more of its "
                "body. After it the attempt fails."
            )
        ),
    ] = 5.0

    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description=(
                "Connections that one worker opens at the same time, to all hosts together. More "
                "requests wait."
            ),
        ),
    ] = 128

    max_connections_per_host: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description=(
                "Connections that one worker opens at the same time to one host and port. More "
                "requests wait."
            ),
        ),
    ] = 16


class HttpResponse:
    """A response whose body has not been read yet; `chunks` reads it once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        """The values of a header, joined by commas; an empty text if it is missing.

        Also if it is not printable ASCII: such a value could not be stored or sent on unchanged.
        """
        joined = ", ".join(self._response.headers.getall(name, ())).replace("\t", " ")
        return joined if joined.isascii() and joined.isprintable() else ""

    def location(self) -> str:
        """The target of a redirect, verbatim."""
        return self._response.headers.get("Location", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the body as it arrives. An incomplete body raises an error."""
        # `iter_any` would join the chunks that are waiting, and copy every byte once more.
        async for chunk, _ in self._response.content.iter_chunks():
            if chunk:
                yield chunk


class HttpClient:
    """Pooled connections to the servers that the SSRF policy allows; for one event loop."""

    def __init__(
        self,
        policy: SsrfPolicy,
        config: HttpClientConfig | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._policy = policy
        self._config = config or HttpClientConfig()
        self._resolver = resolver or SystemResolver()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: Url,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> AsyncIterator[HttpResponse]:
        """Send a request; its response can be read until the block ends.

        Raises SourceForbidden where the policy does not allow it, SourceTimedOut, or SourceFailed,
        also for errors while the body is read in the block.
        """
        self._policy.check_url(url)
        try:
            async with await self._send(method, url, headers, body) as response:
                yield HttpResponse(response)
        except aiohttp.ClientError as error:
            raise _translate_error(error) from error

    async def _send(
        self, method: str, url: Url, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> aiohttp.ClientResponse:
        """Send the request, again where the server had closed the pooled connection meanwhile.

        After a restart of the server all its pooled connections are closed, and aiohttp tries only
        two of them.
        """
        if self._session is None:
            self._session = self._open_session()
        all_headers = {
            "User-Agent": self._config.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Via": f"1.1 {PSEUDONYM}",
            **{name.title(): value for name, value in headers},
        }
        retries = self._config.max_connections_per_host if method in _IDEMPOTENT else 0
        while True:
            connection = _ConnectionUse()
            try:
                return await self._session.request(
                    method,
                    URL(url.text, encoded=True),
                    headers=all_headers,
                    data=body,
                    allow_redirects=False,
                    trace_request_ctx=connection,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not connection.reused or not retries:
                    raise
                retries -= 1

    async def check(self, url: Url, *, timeout_seconds: float) -> None:
        """Raise SourceForbidden where `request` would, without connecting.

        A host is forbidden if no address that would be tried is allowed. One that is not resolved
        within that time may be allowed.
        """
        self._policy.check_url(url)
        try:
            async with asyncio.timeout(timeout_seconds):
                addresses = await self._resolve(url)
        except (TimeoutError, OSError):
            return
        if addresses and not any(map(self._policy.allows_address, addresses)):
            raise SourceForbidden(ADDRESS_NOT_ALLOWED)

    async def _resolve(self, url: Url) -> Sequence[str]:
        try:
            ip_address(url.host)
        except ValueError:
            return _addresses_to_try(await self._resolver(url.host, url.port))
        return (url.host,)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if isinstance(self._resolver, SystemResolver):
            self._resolver.close()

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=Connector(
                limit=self._config.max_connections,
                limit_per_host=self._config.max_connections_per_host,
                resolver=_ResolverAdapter(self._resolver),
                socket_factory=self._open_socket,
                use_dns_cache=False,
                ssl=ssl.create_default_context(),
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._config.connect_timeout_seconds,
                sock_read=self._config.read_timeout_seconds,
            ),
            trust_env=False,
            trace_configs=[_trace_reuse()],
        )

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._policy.allows_address(str(address[0])):
            raise _AddressNotAllowed
        return socket.socket(family=family, type=kind, proto=protocol)


class _AddressNotAllowed(OSError):
    """No socket was opened. An OSError, because only then aiohttp tries a name's next address."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "address not allowed")


@dataclass
class _ConnectionUse:
    """Whether the last connection of a request came from the pool."""

    reused: bool = False


def _trace_reuse() -> aiohttp.TraceConfig:
    """Record in the `_ConnectionUse` of each request which connection it got."""

    async def on_reuse(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.reused = True

    async def on_create(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.reused = False

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(on_reuse)
    trace.on_connection_create_start.append(on_create)
    return trace


class _ResolverAdapter(AbstractResolver):
    """A `Resolver` with aiohttp's interface."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # both, always
        addresses = await self._resolver(host, port)
        if not addresses:
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
            for address in _addresses_to_try(addresses)
        ]

    async def close(self) -> None:
        """Do nothing: the resolver belongs to the client."""


def _addresses_to_try(addresses: Sequence[str]) -> Sequence[str]:
    ipv6 = [address for address in addresses if ":" in address][:MAX_ADDRESSES_PER_FAMILY]
    ipv4 = [address for address in addresses if ":" not in address][:MAX_ADDRESSES_PER_FAMILY]
    return (*ipv6, *ipv4)


# The first that matches. True: transient, so that a retry may succeed.
_ERRORS: tuple[tuple[type[aiohttp.ClientError], str, bool], ...] = (
    (aiohttp.ClientSSLError, "source TLS handshake failed, or its certificate is invalid", False),
    (aiohttp.ClientConnectorError, "source unreachable: connection failed", True),
    (aiohttp.ClientPayloadError, "source connection closed in the middle of the response", True),
    # These two have been retried already.
    (aiohttp.ServerDisconnectedError, "source connection closed before the response", False),
    (aiohttp.ClientOSError, "source connection closed before the response", False),
    # The server closed a new connection before the request could be sent.
    (aiohttp.ClientConnectionResetError, "source connection closed before the response", True),
    (aiohttp.ClientError, "source response is not valid HTTP", False),
)


def _translate_error(error: aiohttp.ClientError) -> SourceFailed | SourceForbidden | SourceTimedOut:
    detail = redact_queries(f"{type(error).__name__}: {error}")
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, _AddressNotAllowed
    ):
        return SourceForbidden(ADDRESS_NOT_ALLOWED)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        transient = error.os_error.errno == socket.EAI_AGAIN
        return SourceFailed("source host name not resolved", transient=transient, detail=detail)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return SourceTimedOut("source connect timeout exceeded", detail=detail)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return SourceTimedOut("source read timeout exceeded", detail=detail)
    message, transient = next(
        (message, transient) for kind, message, transient in _ERRORS if isinstance(error, kind)
    )
    return SourceFailed(message, transient=transient, detail=detail)
