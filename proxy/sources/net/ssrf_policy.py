"""SSRF policy: which servers outgoing requests may reach, by scheme, host, port and IP address.

The first three are checked for each request and each redirect, the address when a socket is opened.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address

from proxy.errors import InvalidSource, SourceForbidden
from proxy.sources.net.ip_policy import IpPolicy
from proxy.sources.net.url import Url, normalize_host

DEFAULT_PORTS = ("80", "443", "1024-65535")

ANY_NETWORK = ("0.0.0.0/0", "::/0")
"""For URLs that only the operator writes: they may lead to private networks."""

# One sentence for names and literal addresses, whether or not something listens there: it reveals
# nothing about a network.
ADDRESS_NOT_ALLOWED = (
    "source address not allowed: it is not public and not in an allowed private network"
)

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


class SsrfPolicy:
    def __init__(
        self,
        *,
        allow_nets: Iterable[str] = (),
        allow_hosts: Iterable[str] = (),
        allow_ports: Iterable[str] = DEFAULT_PORTS,
        allow_http: bool = True,
    ) -> None:
        """Without ``allow_hosts`` any host is allowed. Raises ValueError for an invalid entry."""
        self._ip_policy = IpPolicy(allow_nets)
        self._hosts = tuple(_parse_pattern(text) for text in allow_hosts)
        self._ports = tuple(_parse_ports(text) for text in allow_ports)
        self._allow_http = allow_http

    def check_url(self, url: Url) -> None:
        """Raise SourceForbidden unless scheme, host and port are allowed."""
        if url.scheme == "http" and not self._allow_http:
            raise SourceForbidden("source scheme not allowed: http://, only https:// is")
        if not any(url.port in ports for ports in self._ports):
            raise SourceForbidden(f"source port not allowed: {url.port}")
        if self._hosts and not any(_matches(url.host, *pattern) for pattern in self._hosts):
            raise SourceForbidden(f"source host not allowed: {url.host}")

    def allows_address(self, text: str) -> bool:
        """Whether a socket may connect to this numeric address."""
        return self._ip_policy.allows(text)


def _parse_pattern(text: str) -> tuple[str, bool, bool]:
    """An entry as host, whether the host itself matches, and whether its subdomains match."""
    entry = text.strip()
    subdomains = entry.startswith(("*.", "."))
    itself = not entry.startswith("*.")
    name = entry.removeprefix("*").removeprefix(".") if subdomains else entry
    try:
        if ":" in name and not subdomains:
            return str(IPv6Address(name.removeprefix("[").removesuffix("]"))), True, False
        return normalize_host(name), itself, subdomains
    except (InvalidSource, AddressValueError) as error:
        raise ValueError(
            f"{text!r} is not a host: write example.com for that host only, *.example.com for its "
            "subdomains, .example.com for both"
        ) from error


def _matches(host: str, name: str, itself: bool, subdomains: bool) -> bool:
    return (itself and host == name) or (subdomains and host.endswith(f".{name}"))


def _parse_ports(text: str) -> range:
    match = _PORTS.fullmatch(text.strip())
    if match is not None:
        first, last = int(match[1]), int(match[2] or match[1])
        if 1 <= first <= last <= 65535:
            return range(first, last + 1)
    raise ValueError(f"{text!r} is not a port or a range of ports such as 1024-65535")
