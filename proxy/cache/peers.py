"""Tell the other machines of purges directly, so that they know within milliseconds.

The bucket stays the truth: a peer that is not reached reads the purge from there. What is sent is
signed with a key of the fleet, and says when the bucket stored the purge; so it may come late,
twice or never, and from whom does not matter.
"""

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from proxy.cache.purge_objects import PurgeCodec, PurgeRow, new_batch_name, object_id, split_rows
from proxy.errors import ConfigError, ProxyError
from proxy.runtime.background import BackgroundTasks, TaskFailed
from proxy.sources.net.dns import Resolver, SystemResolver
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url

PEER_PURGES_PATH: Final = "/admin/purges"
MAX_MESSAGE_BYTES: Final = 1_000_000

OUTCOMES: Final = ("delivered", "failed", "received", "refused")
"""What becomes of messages: ``failed`` after all tries, ``refused`` was not signed by the fleet."""

_PEER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(:(?P<port>[0-9]{1,5}))?")
_TIMEOUT_SECONDS = 1.0  # of one try
_RETRY_SECONDS = (0.5, 2.0, 5.0)
_MAX_RETRIES = 200  # messages that wait for another try
_MAX_ADDRESSES = 256


class PeersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The other machines that share the bucket of `shared_cache`."""

    peers: Annotated[
        tuple[str, ...],
        Meta(
            max_length=64,
            description=(
                "Servers that share the bucket, to tell them of purges at once: `HOST:PORT` each, "
                "or one name that stands for all of them, such as that of a headless Service in "
                "Kubernetes. Names are looked up for each purge. Without a port it is "
                "`FRAMEKEEP_SERVER_PORT`. This server may be among them. Needs "
                "`FRAMEKEEP_SHARED_CACHE_URL` and `FRAMEKEEP_SHARED_CACHE_KEYS`."
            ),
        ),
    ] = ()

    def __post_init__(self) -> None:
        for peer in self.peers:
            if not _is_valid(peer):
                raise ValueError(
                    f"peers: invalid peer {peer!r}: write HOST:PORT, such as 10.0.0.7:8080, "
                    "[fd00::7]:8080 or framekeep.internal"
                )

    def validate(self, *, has_bucket: bool, has_keys: bool, port: int) -> None:
        """Raise ConfigError where purges could be lost or forged, or a port is missing."""
        if not self.peers:
            return
        for is_set, name, why in (
            (has_bucket, "URL", "what a peer does not get, it reads from the bucket"),
            (has_keys, "KEYS", "they sign what servers tell each other"),
        ):
            if not is_set:
                raise ConfigError(
                    f"FRAMEKEEP_SHARED_PEERS needs FRAMEKEEP_SHARED_CACHE_{name}: {why}"
                )
        for peer in self.peers:
            if not port and not _split(peer, 0).port:
                raise ConfigError(
                    f"FRAMEKEEP_SHARED_PEERS: {peer!r} has no port, and FRAMEKEEP_SERVER_PORT is 0"
                )


class _Address(NamedTuple):
    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PurgePeers:
    """Sends purges to the peers.

    ``outcomes`` counts messages by `OUTCOMES`; ``known`` peers were found at the last look-up.
    """

    def __init__(
        self,
        config: PeersConfig,
        client: HttpClient,
        background: BackgroundTasks,
        *,
        port: int,
        path_prefix: str = "",
        resolver: Resolver | None = None,
        is_local: Callable[[str], bool] | None = None,
    ) -> None:
        """``port`` and ``path_prefix`` are those of this server, and the default of the others.

        ``is_local`` says whether an address is one of this machine.
        """
        self.is_enabled = bool(config.peers)
        self._peers = [_split(peer, port) for peer in config.peers]
        self._client = client
        self._resolver = resolver or SystemResolver(timeout_seconds=_TIMEOUT_SECONDS)
        self._port = port
        self._path_prefix = path_prefix
        self._background = background
        self._is_local = is_local or is_local_address
        self._retries = 0
        self.outcomes: Counter[str] = Counter()
        self.known = 0

    async def send(self, rows: Sequence[PurgeRow], codec: PurgeCodec) -> None:
        """Send purges with their stamps to all peers; wait for each a second at most.

        Those that are not reached are tried again in the background.
        """
        names = ((new_batch_name(), some) for some in split_rows(rows, MAX_MESSAGE_BYTES))
        messages = [(name, codec.encode(name, some)) for name, some in names]
        if not messages:
            return
        addresses = await self._find()
        await asyncio.gather(
            *(
                self._send_or_retry(address, name, content)
                for address in addresses
                for name, content in messages
            )
        )

    def send_later(self, rows: Sequence[PurgeRow], codec: PurgeCodec) -> None:
        self._background.run("peer_purge", self.send(rows, codec))

    async def close(self) -> None:
        if isinstance(self._resolver, SystemResolver):
            await self._resolver.close()

    async def _find(self) -> list[_Address]:
        """The addresses of all peers but this server, as the names are resolved now."""
        found: dict[_Address, None] = {}
        resolved = await asyncio.gather(*map(self._resolve, self._peers))
        for address in (address for addresses in resolved for address in addresses):
            if address.port != self._port or not self._is_local(address.host):
                found[address] = None
        addresses = list(found)[:_MAX_ADDRESSES]
        self.known = len(addresses)
        return addresses

    async def _resolve(self, peer: _Address) -> list[_Address]:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                hosts = await self._resolver(peer.host, peer.port)
        except (TimeoutError, OSError) as error:
            failed = TaskFailed(f"peer {peer.host} not resolved: {type(error).__name__}: {error}")
            self._background.record_failure("peer_purge", failed)
            self.outcomes["failed"] += 1
            return []
        return [_Address(host, peer.port) for host in hosts]

    async def _send_or_retry(self, address: _Address, name: str, content: bytes) -> None:
        if not await self._try(address, name, content):
            if self._retries < _MAX_RETRIES:
                self._retries += 1
                self._background.run("peer_purge", self._retry(address, name, content))
            else:
                self.outcomes["failed"] += 1

    async def _retry(self, address: _Address, name: str, content: bytes) -> None:
        try:
            for seconds in _RETRY_SECONDS:
                await asyncio.sleep(seconds)
                if await self._try(address, name, content):
                    return
        finally:
            self._retries -= 1
        self.outcomes["failed"] += 1
        raise TaskFailed(
            f"peer {address.authority} not told of a purge; it reads it from the bucket"
        )

    async def _try(self, address: _Address, name: str, content: bytes) -> bool:
        path = f"{self._path_prefix}{PEER_PURGES_PATH}/{object_id(name)}"
        url = parse_url(f"http://{address.authority}{path}")
        with contextlib.suppress(TimeoutError, ProxyError):
            async with (
                asyncio.timeout(_TIMEOUT_SECONDS),
                self._client.request("PUT", url, (), content) as response,
            ):
                if response.status == 200:
                    self.outcomes["delivered"] += 1
                    return True
        return False


def is_local_address(address: str) -> bool:
    """Whether this machine has the address: only then a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False


def _is_valid(peer: str) -> bool:
    match = _PEER.fullmatch(peer)
    if match is None or not 0 < int(match["port"] or 1) < 65_536:
        return False
    host = match["host"]
    try:
        return not host.startswith("[") or bool(IPv6Address(host.strip("[]")))
    except AddressValueError:
        return False


def _split(peer: str, port: int) -> _Address:
    match = _PEER.fullmatch(peer)
    if match is None:
        raise ValueError(peer)
    return _Address(match["host"].strip("[]"), int(match["port"] or port))
