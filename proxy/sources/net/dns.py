"""Resolve host names to numeric addresses: by the configuration of the system, without threads.

`/etc/hosts` and `/etc/resolv.conf` are honored, and read again when they change. Answers are cached
for their TTL. A name server that does not answer delays no look-up of other domains: only a few
look-ups of one domain run at the same time, and one that failed is not repeated for a while.
"""

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from aiodns import DNSResolver

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host name and a port to numeric addresses; raises OSError if there are none."""

_LOOPBACK = ("::1", "127.0.0.1")

_MAX_LOOKUPS_PER_DOMAIN = 8
_MAX_CACHED = 4096
_MIN_TTL_SECONDS, _MAX_TTL_SECONDS = 1.0, 3600.0  # the longest is that of c-ares too
_FAILURE_SECONDS = 5.0  # for which a name is not looked up again

# Below these, everybody can register a domain: `example.co.uk` is one, as `example.com` is.
_PUBLIC_SECOND_LEVELS = frozenset(
    ("ac", "co", "com", "edu", "go", "gob", "gov", "gv", "mil", "ne", "net", "nom", "or", "org")
)


class _Answer(NamedTuple):
    """The addresses of a host, or the number and text of the error; ``expires_at`` is monotonic."""

    addresses: Sequence[str]
    error: tuple[int, str] | None
    expires_at: float


class SystemResolver:
    """Resolves names in one event loop. ``clock`` is monotonic, in seconds."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 3.0,
        servers: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``servers``, as ``ADDRESS:PORT``, replace the name servers of the system."""
        self._timeout_seconds = timeout_seconds
        self._servers = servers
        self._clock = clock
        self._channel: DNSResolver | None = None
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._hosts: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._domains: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        if _is_address(host):
            return (host,)
        if host == "localhost" or host.endswith(".localhost"):
            return _LOOPBACK  # these must not be sent to a name server (RFC 6761)
        answer = self._cached(host) or await self._look_up_once(host)
        if answer.error is not None:
            raise socket.gaierror(*answer.error)
        return answer.addresses

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    def _cached(self, host: str) -> _Answer | None:
        answer = self._answers.get(host)
        return answer if answer is not None and self._clock() < answer.expires_at else None

    def _remember(self, host: str, answer: _Answer) -> _Answer:
        self._answers[host] = answer
        self._answers.move_to_end(host)
        if len(self._answers) > _MAX_CACHED:
            self._answers.popitem(last=False)
        return answer

    async def _look_up_once(self, host: str) -> _Answer:
        """Look the host up once for all callers that come meanwhile."""
        lock = self._hosts.setdefault(host, asyncio.Lock())
        try:
            async with asyncio.timeout(self._timeout_seconds), lock:
                return self._cached(host) or self._remember(host, await self._look_up(host))
        except TimeoutError:
            reason = f"no answer within {self._timeout_seconds:g} s"
            return self._remember(host, self._failure(socket.EAI_AGAIN, reason))

    async def _look_up(self, host: str) -> _Answer:
        from aiodns.error import ARES_EBADNAME, ARES_ENODATA, ARES_ENOTFOUND, DNSError  # noqa: PLC0415 - only workers that look up names need it

        domain = self._domains.setdefault(
            registrable_domain(host), asyncio.Semaphore(_MAX_LOOKUPS_PER_DOMAIN)
        )
        await domain.acquire()
        query = self._open_channel().getaddrinfo(host, type=socket.SOCK_STREAM)
        query.add_done_callback(partial(_release, domain))
        try:
            found = await asyncio.shield(query)
        except DNSError as error:
            number, text = error.args
            if number in (ARES_ENODATA, ARES_ENOTFOUND, ARES_EBADNAME):
                return self._failure(socket.EAI_NONAME, text)
            return self._failure(socket.EAI_AGAIN, text)
        shortest = min((node.ttl for node in found.nodes), default=0)
        ttl = min(max(shortest, _MIN_TTL_SECONDS), _MAX_TTL_SECONDS)
        return _Answer([_numeric(node.addr) for node in found.nodes], None, self._clock() + ttl)

    def _open_channel(self) -> "DNSResolver":
        from aiodns import DNSResolver  # noqa: PLC0415 - only workers that look up names need it

        if self._channel is None:
            self._channel = DNSResolver(nameservers=self._servers)
        return self._channel

    def _failure(self, number: int, text: str) -> _Answer:
        return _Answer((), (number, text), self._clock() + _FAILURE_SECONDS)


def registrable_domain(host: str) -> str:
    """The domain that somebody registered, and whose name servers answer for the host.

    A guess by the common second levels: nothing but the number of look-ups depends on it.
    """
    labels = host.split(".")
    is_public = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _PUBLIC_SECOND_LEVELS
    return ".".join(labels[-3:] if is_public else labels[-2:])


def _release(domain: asyncio.Semaphore, query: "asyncio.Future[object]") -> None:
    """Called when the query has really ended: that its caller went away does not end it."""
    domain.release()
    if not query.cancelled():
        query.exception()  # nobody may be left to take it


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _numeric(address: tuple[bytes, int] | tuple[bytes, int, int, int]) -> str:
    text = address[0].decode()
    return f"{text}%{address[3]}" if len(address) == 4 and address[3] else text
