"""The HTTP client for outgoing requests; beside `proxy.compat` the only module with aiohttp.

Rule 1  The address that a socket connects to is the address that is checked: `socket_factory` gets
        what `connect` will get, for names and literal addresses alike, on each new connection.
Rule 2  Nothing is followed, decoded or remembered: no redirects, no content encodings, no cookies,
        no proxy and no credentials from the environment.
Rule 3  A slow server holds no more than its share of the connections, and none for ever: they are
        limited for each host and address, and a response has a minimum rate.
Rule 4  Every aiohttp exception ends here, as a SourceError.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from types import SimpleNamespace

from yarl import URL

from proxy.compat.aiohttp import Connector, aiohttp
from proxy.errors import (
    Overloaded,
    SourceError,
    SourceFailed,
    SourceForbidden,
    SourceTimedOut,
    lacks_descriptors,
    no_descriptors,
)
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.connection_shares import ConnectionShares
from proxy.sources.net.dns import Resolver, SystemResolver
from proxy.sources.net.ssrf_policy import ADDRESS_NOT_ALLOWED, SsrfPolicy
from proxy.sources.net.url import Url, redact_queries
from proxy.sources.net.via import PSEUDONYM

# A name may have thousands of addresses, and each connection attempt would try all of them in turn.
MAX_ADDRESSES_PER_FAMILY = 4

# Content-Security-Policy of some sites; aiohttp takes 8 KiB. It counts the line end, too.
MAX_HEADER_LINE_BYTES = 64 * 1024 + 64

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

_IDEMPOTENT = frozenset(("GET", "HEAD"))  # what may be sent again


class HttpResponse:
    """A response whose body has not been read yet; `chunks` reads it once."""

    def __init__(self, response: aiohttp.ClientResponse, config: HttpClientConfig) -> None:
        self._response = response
        self._min_bytes_per_second = config.min_bytes_per_second
        self._period_seconds = config.read_timeout_seconds
        self.status = response.status

    def header(self, name: str) -> str:
        """The values of a header, joined by commas; an empty text if it is missing.

        Also if it is not printable ASCII: such a value could not be stored or sent on unchanged.
        In `Cache-Control` these characters become question marks, so that a `private` beside them
        counts.
        """
        joined = ", ".join(self._response.headers.getall(name, ())).replace("\t", " ")
        if joined.isascii() and joined.isprintable():
            return joined
        return _UNPRINTABLE.sub("?", joined) if name == "Cache-Control" else ""

    def location(self) -> str:
        """The target of a redirect, verbatim."""
        return self._response.headers.get("Location", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the body as it arrives. An incomplete or too slow body raises an error."""
        now = asyncio.get_running_loop().time
        period_start, size = now(), 0
        # `iter_any` would join the chunks that are waiting, and copy every byte once more.
        content = self._response.content
        async for chunk, _ in content.iter_chunks():
            size += len(chunk)
            seconds = now() - period_start
            if seconds >= self._period_seconds:
                if size < self._min_bytes_per_second * seconds:
                    raise SourceTimedOut(
                        f"source too slow: less than {self._min_bytes_per_second} bytes per second "
                        "(FRAMEKEEP_SOURCES_MIN_BYTES_PER_SECOND)"
                    )
                period_start, size = now(), 0
            if chunk:
                yield chunk
            elif content.at_eof():  # for a response without a body, aiohttp never ends
                break


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
        self._resolver = resolver or SystemResolver(
            timeout_seconds=self._config.connect_timeout_seconds
        )
        self._shares = ConnectionShares(
            per_host=self._config.max_connections_per_host,
            per_address=self._config.max_connections_per_address,
        )
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
        also for errors while the body is read in the block; Overloaded without file descriptors.
        """
        self._policy.check_url(url)
        addresses = await self._find_addresses(url)
        try:
            async with (
                self._shares.connection(url.host, addresses),
                await self._send(method, url, headers, body, addresses) as response,
            ):
                yield HttpResponse(response, self._config)
        except aiohttp.ClientError as error:
            raise _translate_error(error) from error

    async def _find_addresses(self, url: Url) -> Sequence[str]:
        """The addresses of the host to try, allowed or not. Raises SourceFailed if it has none."""
        try:
            addresses = await self._resolve(url)
        except OSError as error:
            raise SourceFailed(
                "source host name not resolved",
                transient=error.errno == socket.EAI_AGAIN,
                detail=f"{type(error).__name__}: {error}",
            ) from error
        if not addresses:
            raise SourceFailed("source host name not resolved", detail="no address")
        return addresses

    async def _send(
        self,
        method: str,
        url: Url,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        addresses: Sequence[str],
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
        _ADDRESSES.set(addresses)
        while True:
            attempt = _Attempt(asyncio.timeout(None), has_body=body is not None)
            try:
                async with attempt.head_timeout:
                    return await self._session.request(
                        method,
                        URL(url.text, encoded=True),
                        headers=all_headers,
                        data=body,
                        allow_redirects=False,
                        trace_request_ctx=attempt,
                    )
            except aiohttp.ServerTimeoutError:
                raise
            except TimeoutError as error:
                seconds = self._config.read_timeout_seconds
                raise SourceTimedOut(
                    f"source read timeout exceeded: no complete response head within {seconds:g} s"
                ) from error
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not attempt.reused or not retries:
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
            await self._resolver.close()

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=Connector(
                limit=self._config.max_connections,
                limit_per_host=0,  # it would count each port for itself
                resolver=_ResolverAdapter(),
                socket_factory=self._open_socket,
                use_dns_cache=False,
                ssl=ssl.create_default_context(),
            ),
            auto_decompress=False,
            max_line_size=MAX_HEADER_LINE_BYTES,
            max_field_size=MAX_HEADER_LINE_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._config.connect_timeout_seconds,
                sock_read=self._config.read_timeout_seconds,
            ),
            trust_env=False,
            trace_configs=[self._trace_attempts()],
        )

    def _trace_attempts(self) -> aiohttp.TraceConfig:
        """Record in the `_Attempt` of a request what happens to it."""

        async def on_reuse(_: object, context: SimpleNamespace, __: object) -> None:
            context.trace_request_ctx.reused = True

        async def on_create(_: object, context: SimpleNamespace, __: object) -> None:
            context.trace_request_ctx.reused = False

        async def on_sent(_: object, context: SimpleNamespace, __: object) -> None:
            context.trace_request_ctx.start_head_timeout(self._config.read_timeout_seconds)

        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(on_reuse)
        trace.on_connection_create_start.append(on_create)
        trace.on_request_headers_sent.append(on_sent)
        return trace

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
class _Attempt:
    """An attempt to send a request; ``reused``: its connection came from the pool.

    ``head_timeout`` is for the head of the response, however slowly it comes. It starts when a
    request without a body has been sent.
    """

    head_timeout: asyncio.Timeout
    has_body: bool
    reused: bool = False

    def start_head_timeout(self, seconds: float) -> None:
        if not self.has_body and not self.head_timeout.expired():
            self.head_timeout.reschedule(asyncio.get_running_loop().time() + seconds)


_ADDRESSES: ContextVar[Sequence[str]] = ContextVar("addresses")
"""Those of the request that is being sent."""


class _ResolverAdapter(aiohttp.abc.AbstractResolver):
    """Gives aiohttp the addresses that were found before the request."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        del family  # both, always
        return [
            aiohttp.abc.ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in _ADDRESSES.get()
        ]

    async def close(self) -> None:
        """Do nothing: nothing is open."""


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


def _translate_error(error: aiohttp.ClientError) -> SourceError | Overloaded:
    if lacks_descriptors(error):
        return no_descriptors(error)
    detail = redact_queries(f"{type(error).__name__}: {error}")
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, _AddressNotAllowed
    ):
        return SourceForbidden(ADDRESS_NOT_ALLOWED)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return SourceTimedOut("source connect timeout exceeded", detail=detail)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return SourceTimedOut("source read timeout exceeded", detail=detail)
    message, transient = next(
        (message, transient) for kind, message, transient in _ERRORS if isinstance(error, kind)
    )
    return SourceFailed(message, transient=transient, detail=detail)
