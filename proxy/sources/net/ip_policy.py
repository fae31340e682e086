"""IP policy: which numeric addresses a socket may connect to.

The check is on the address as the socket uses it, after any name is resolved. IPv6 has many forms
that embed an IPv4 address, and a gateway on the way may unwrap them; so an address is allowed only
if it *and every address embedded in it* is.

Rule 1  Globally routable unicast is allowed; everything else only in the networks of the operator.
Rule 2  Metadata services of clouds, and Azure's wire server, lie in networks that are listed for
        other reasons: each is allowed only if it is listed as a single address.
Rule 3  "This network", multicast, broadcast and addresses with a scope are never allowed.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# Python's own `is_global` differs between patch releases, so the IANA registries are listed here.
_LOCAL_IPV4 = (
    IPv4Network("0.0.0.0/8"),  # this network
    IPv4Network("10.0.0.0/8"),  # private use
    IPv4Network("100.64.0.0/10"),  # shared by carriers (CGNAT)
    IPv4Network("127.0.0.0/8"),  # loopback
    IPv4Network("169.254.0.0/16"),  # link-local
    IPv4Network("172.16.0.0/12"),  # private use
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),  # private use
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, and broadcast
)
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
_SIIT = IPv6Network("::ffff:0:0:0/96")
_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_GLOBAL_IPV6 = (IPv6Network("2000::/3"), _NAT64)
_LOCAL_IPV6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    _SIX_TO_FOUR,
    IPv6Network("3ffe::/16"),  # a testbed that was given back
    IPv6Network("3fff::/20"),  # documentation
)
_NEVER = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("255.255.255.255/32"),
    IPv6Network("::/128"),
    IPv6Network("ff00::/8"),
)
_CLOUD_SERVICES = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # metadata of most clouds
        "169.254.169.253",  # name server of EC2
        "169.254.169.123",  # time of EC2
        "169.254.170.2",  # credentials of ECS tasks
        "169.254.170.23",  # credentials of EKS pods
        "169.254.0.23",  # metadata of Tencent
        "169.254.42.42",  # metadata of Scaleway
        "100.100.100.200",  # metadata of Alibaba
        "192.0.0.192",  # metadata of Oracle, long ago
        "168.63.129.16",  # wire server of Azure: globally routable by its number
        "fd00:ec2::254",  # metadata of EC2
        "fd00:ec2::253",
        "fd00:ec2::23",
        "fd00:42::42",  # metadata of Scaleway
        "fd20:ce::254",  # metadata of Google
        "fe80::a9fe:a9fe",  # metadata of OpenStack
    )
)


class IpPolicy:
    def __init__(self, allow_nets: Iterable[str] = ()) -> None:
        """Allow private networks, as CIDRs or single addresses. Raises ValueError for others."""
        self._nets = tuple(parse_network(text) for text in allow_nets)

    def allows(self, text: str) -> bool:
        """Whether a socket may connect to this numeric address, in the form that a socket takes."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return False
        return all(self._allows_one(each) for each in embedded_addresses(address))

    def _allows_one(self, address: IPAddress) -> bool:
        if any(address in net for net in _NEVER):
            return False
        if address in _CLOUD_SERVICES:
            return any(net.num_addresses == 1 and address in net for net in self._nets)
        return is_global(address) or any(address in net for net in self._nets)


def parse_network(text: str) -> IPNetwork:
    """Parse a network of the settings. Raises ValueError that says how to write one."""
    try:
        return ip_network(text.strip(), strict=True)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a network: write it as 10.0.0.0/8 or fd00::/8 without host bits, "
            "or a single address as 10.0.0.5"
        ) from None


def is_loopback(text: str) -> bool:
    """Whether this numeric address leads to this machine only; False for a name."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False


def is_global(address: IPAddress) -> bool:
    """Whether this is globally routable unicast; embedded addresses are not checked."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in _LOCAL_IPV4)
    return any(address in net for net in _GLOBAL_IPV6) and not any(
        address in net for net in _LOCAL_IPV6
    )


def embedded_addresses(address: IPAddress) -> Iterator[IPAddress]:
    """The address, then every IPv4 address that is embedded in it.

    Of an IPv4-mapped address only the IPv4 address: the form exists for socket calls alone.
    """
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    bits = int(address)
    low = bits & 0xFFFFFFFF
    if address in _COMPATIBLE and low > 1:  # `::` and `::1` embed nothing
        yield IPv4Address(low)
    if address in _SIIT or address in _NAT64:
        yield IPv4Address(low)
    if address in _NAT64_LOCAL:
        # Only the site knows the length of its prefix, and so where the IPv4 address is. The
        # longest prefix is understood; every other form counts as embedding 0.0.0.0.
        yield IPv4Address(0 if bits >> 32 & 0xFFFFFFFFFFFF else low)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(bits >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(bits >> 64 & 0xFFFFFFFF)  # the server
        yield IPv4Address(low ^ 0xFFFFFFFF)  # the client, obfuscated
    # ISATAP: an interface identifier under any prefix; the universal bit may be set.
    if bits >> 32 & 0xFFFFFFFF in (0x00005EFE, 0x02005EFE):
        yield IPv4Address(low)
