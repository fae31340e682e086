"""Shares of the outgoing connections: by host, on all its ports, and by address.

One origin that answers slowly may have many ports, and many names. None of them helps it to more
connections than its share, so others always find some.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from weakref import WeakValueDictionary

_SITE_BITS = 64  # of an IPv6 address; the others are for whoever has the site to choose


class ConnectionShares:
    def __init__(self, *, per_host: int, per_address: int) -> None:
        self._per_host = per_host
        self._per_address = per_address
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._addresses: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def connection(self, host: str, addresses: Sequence[str]) -> AsyncIterator[None]:
        """Wait for room for a connection to the host, at any of these addresses, and hold it."""
        # The host first: who waits for it must not hold the share of an address that other hosts
        # have too. Addresses are sorted, so that no two requests wait for each other.
        shares = [self._hosts.setdefault(host, asyncio.Semaphore(self._per_host))]
        shares += [
            self._addresses.setdefault(site, asyncio.Semaphore(self._per_address))
            for site in sorted(set(map(_site, addresses)))
        ]
        async with AsyncExitStack() as held:
            for share in shares:
                await held.enter_async_context(share)
            yield


def _site(text: str) -> str:
    """The address, or the site of an IPv6 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((int(address) >> 64 << 64, _SITE_BITS)))
    return str(getattr(address, "ipv4_mapped", None) or address)
