"""The policy on IP addresses."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sources.net.ip_policy import IpPolicy

PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::8a")

DENIED = (
    # this network, private, shared, loopback, link-local
    *("0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.255", "169.254.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.0.1", "192.168.255.255"),
    # assignments, documentation, benchmarks, relays
    *("192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.7", "203.0.113.9"),
    # multicast, reserved, broadcast
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    # services of clouds
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("fd00:ec2::254", "fd20:ce::254"),
    # IPv6: unspecified, loopback, local, documentation, multicast, assignments, unassigned
    *("::", "::1", "fc00::1", "fd00::1", "fe80::1", "fec0::1", "2001:db8::1", "3fff::1"),
    *("ff02::1", "ff0e::1", "2001:10::1", "2001:2::1", "3ffe::1", "100::1", "4000::1", "5f00::1"),
    # IPv6 with any embedded IPv4 address
    *("2002:808:808::1", "2001:0:808:808::1", "::8.8.8.8", "::ffff:0:8.8.8.8"),
    *("64:ff9b:1::8.8.8.8", "64:ff9b:1:808:8:800::"),
    # scopes
    *("fe80::1%lo", "fe80::1%2", "2606:4700::1111%1"),
    # not numeric addresses
    *("", "localhost", "0177.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "[::1]", "127.0.0.1:80"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert IpPolicy().allows(address)


@pytest.mark.parametrize("address", DENIED)
def test_everything_else_is_denied(address: str) -> None:
    assert not IpPolicy().allows(address)


def embedded(address: IPv4Address) -> list[IPv6Address]:
    """Every form in which an IPv6 address embeds this one."""
    number, high, low = int(address), int(address) >> 16, int(address) & 0xFFFF
    inverted = number ^ 0xFFFFFFFF
    return [
        IPv6Address(0xFFFF << 32 | number),  # mapped
        IPv6Address(number),  # compatible
        IPv6Address(0xFFFF << 48 | number),  # SIIT
        IPv6Address(f"64:ff9b::{high:x}:{low:x}"),  # NAT64
        IPv6Address(f"64:ff9b:1::{high:x}:{low:x}"),  # NAT64 of a site, /96
        IPv6Address(f"2002:{high:x}:{low:x}::1"),  # 6to4
        IPv6Address(f"2001:0:{high:x}:{low:x}::f7f7:f7f7"),  # Teredo, the server
        IPv6Address(
            f"2001:0:808:808::{inverted >> 16:x}:{inverted & 0xFFFF:x}"
        ),  # Teredo, the client
        IPv6Address(f"2a00:1450::5efe:{high:x}:{low:x}"),  # ISATAP below a public prefix
        IPv6Address(f"2a00:1450::200:5efe:{high:x}:{low:x}"),  # the same, universal
    ]


# As a site with its own translators and tunnels might list them; the embedded IPv4 is not listed.
TUNNELS = ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")


@given(st.ip_addresses(v=4).filter(lambda address: not IpPolicy().allows(str(address))))
def test_an_address_with_a_denied_one_embedded_is_denied(address: IPv4Address) -> None:
    policy = IpPolicy(TUNNELS)
    for carrier in embedded(address):
        if int(carrier) > 1:  # `::` and `::1` embed nothing
            assert not policy.allows(str(carrier)), carrier


@pytest.mark.parametrize("address", ["64:ff9b:1:808:8:800::", "64:ff9b:1:a00:0:100::"])
def test_local_nat64_with_a_short_prefix_is_denied(address: str) -> None:
    assert not IpPolicy(["::/0"]).allows(address)


@pytest.mark.parametrize("carrier", embedded(IPv4Address("8.8.8.8")))
def test_a_listed_tunnel_may_embed_a_public_address(carrier: IPv6Address) -> None:
    assert IpPolicy(TUNNELS).allows(str(carrier))


def test_without_a_list_few_forms_may_embed_a_public_address() -> None:
    carriers = embedded(IPv4Address("8.8.8.8"))
    passing = [str(carrier) for carrier in carriers if IpPolicy().allows(str(carrier))]
    assert passing == [
        "::ffff:808:808",
        "64:ff9b::808:808",
        "2a00:1450::5efe:808:808",
        "2a00:1450::200:5efe:808:808",
    ]


@given(st.ip_addresses(v=6))
def test_only_global_ipv6_is_allowed(address: IPv6Address) -> None:
    if IpPolicy().allows(str(address)):
        assert address.is_global or address.ipv4_mapped is not None


@given(st.ip_addresses(v=4))
def test_only_global_ipv4_unicast_is_allowed(address: IPv4Address) -> None:
    if IpPolicy().allows(str(address)):
        assert address.is_global
        assert not address.is_multicast


def test_a_listed_network_is_allowed_and_no_more() -> None:
    policy = IpPolicy(["10.1.0.0/16", "fd12::/64", "127.0.0.1"])
    assert policy.allows("10.1.2.3")
    assert policy.allows("::ffff:10.1.2.3")
    assert policy.allows("fd12::5")
    assert policy.allows("127.0.0.1")
    assert not policy.allows("10.2.0.1")
    assert not policy.allows("fd12:0:0:1::5")
    assert not policy.allows("127.0.0.2")


@pytest.mark.parametrize(
    ("address", "around"),
    [
        ("169.254.169.254", "169.254.0.0/16"),
        ("::ffff:169.254.169.254", "169.254.0.0/16"),
        ("64:ff9b::a9fe:a9fe", "169.254.0.0/16"),
        ("100.100.100.200", "100.64.0.0/10"),
        ("192.0.0.192", "192.0.0.0/24"),
        ("168.63.129.16", "168.63.129.0/24"),
        ("fd00:ec2::254", "fd00::/8"),
    ],
)
def test_cloud_services_are_denied_in_a_listed_network(address: str, around: str) -> None:
    assert not IpPolicy([around, "0.0.0.0/0", "::/0"]).allows(address)


def test_a_cloud_service_is_allowed_as_a_listed_address() -> None:
    assert IpPolicy(["169.254.169.254/32"]).allows("169.254.169.254")
    assert IpPolicy(["168.63.129.16"]).allows("168.63.129.16")


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "fe80::1%1"]
)
def test_some_addresses_are_never_allowed(address: str) -> None:
    assert not IpPolicy(["0.0.0.0/0", "::/0"]).allows(address)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "ten", "", "10.0.0.0-10.0.0.9"])
def test_an_invalid_network_is_an_error_that_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as 10\.0\.0\.0/8"):
        IpPolicy([text])
