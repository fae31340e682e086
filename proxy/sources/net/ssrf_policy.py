"""Whom we may ask: by scheme, host, port and numeric address.

The first three are checked for each request and each redirect, the last where a socket is made.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address

from proxy.errors import InvalidSource, SourceForbidden
from proxy.sources.net.ip_policy import IpPolicy
from proxy.sources.net.url import Url, normalize_host

DEFAULT_PORTS = ("80", "443", "1024-65535")

# One sentence for names and literals, whatever lies behind: it tells nothing about a network.
ADDRESS_NOT_ALLOWED = "the source's address is not a public one and is not on the list of allowed networks"

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


ANY_NETWORK = ("0.0.0.0/0", "::/0")
"""For what only the operator names: private networks are reached like all others."""


class SsrfPolicy:
    """A policy, read once from what the operator wrote."""

    def __init__(
        self,
        *,
        allow_nets: Iterable[str] = (),
        allow_hosts: Iterable[str] = (),
        allow_ports: Iterable[str] = DEFAULT_PORTS,
        allow_http: bool = True,
    ) -> None:
        """Raise ValueError with a sentence for an entry that is none."""
        self._addresses = IpPolicy(allow_nets)
        self._hosts = tuple(_pattern(text) for text in allow_hosts)
        self._ports = tuple(_port_range(text) for text in allow_ports)
        self._allow_http = allow_http

    def check_url(self, url: Url) -> None:
        """Raise SourceForbidden unless scheme, host and port are allowed."""
        if url.scheme == "http" and not self._allow_http:
            raise SourceForbidden("sources are asked over https:// only")
        if not any(url.port in ports for ports in self._ports):
            raise SourceForbidden(f"port {url.port} is not among the allowed ports of sources")
        if self._hosts and not any(_matches(url.host, *pattern) for pattern in self._hosts):
            raise SourceForbidden(f"{url.host} is not on the list of allowed hosts")

    def allows_address(self, text: str) -> bool:
        """Whether this numeric address may be dialled."""
        return self._addresses.allows(text)


def _pattern(text: str) -> tuple[str, bool, bool]:
    """An entry as host, whether the host itself matches, and whether names below it do."""
    entry = text.strip()
    below = entry.startswith(("*.", "."))
    itself = not entry.startswith("*.")
    name = entry.removeprefix("*").removeprefix(".") if below else entry
    try:
        if ":" in name and not below:
            return str(IPv6Address(name.removeprefix("[").removesuffix("]"))), True, False
        return normalize_host(name), itself, below
    except (InvalidSource, AddressValueError) as error:
        raise ValueError(
            f"{text!r} is not a host: write example.com for that host alone, *.example.com for all "
            "below it, .example.com for both"
        ) from error


def _matches(host: str, name: str, itself: bool, below: bool) -> bool:
    return (itself and host == name) or (below and host.endswith(f".{name}"))


def _port_range(text: str) -> range:
    found = _PORTS.fullmatch(text.strip())
    if found is not None:
        first, last = int(found[1]), int(found[2] or found[1])
        if 1 <= first <= last <= 65535:
            return range(first, last + 1)
    raise ValueError(f"{text!r} is not a port or a range of ports such as 1024-65535")
