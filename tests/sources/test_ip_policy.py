"""The policy on numeric addresses."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sources.net.ip_policy import IpPolicy

PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::8a")

REFUSED = (
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
    # IPv6 that carries IPv4 at all, whatever it carries
    *("2002:808:808::1", "2001:0:808:808::1", "::8.8.8.8", "::ffff:0:8.8.8.8"),
    *("64:ff9b:1::8.8.8.8", "64:ff9b:1:808:8:800::"),
    # scopes
    *("fe80::1%lo", "fe80::1%2", "2606:4700::1111%1"),
    # no numeric addresses
    *("", "localhost", "0177.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "[::1]", "127.0.0.1:80"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert IpPolicy().allows(address)


@pytest.mark.parametrize("address", REFUSED)
def test_everything_else_may_not(address: str) -> None:
    assert not IpPolicy().allows(address)


def embedded(address: IPv4Address) -> list[IPv6Address]:
    """Every way an IPv6 address carries this one."""
    number, high, low = int(address), int(address) >> 16, int(address) & 0xFFFF
    turned = number ^ 0xFFFFFFFF
    return [
        IPv6Address(0xFFFF << 32 | number),  # mapped
        IPv6Address(number),  # compatible
        IPv6Address(0xFFFF << 48 | number),  # SIIT
        IPv6Address(f"64:ff9b::{high:x}:{low:x}"),  # NAT64
        IPv6Address(f"64:ff9b:1::{high:x}:{low:x}"),  # NAT64 of a site, /96
        IPv6Address(f"2002:{high:x}:{low:x}::1"),  # 6to4
        IPv6Address(f"2001:0:{high:x}:{low:x}::f7f7:f7f7"),  # Teredo, the server
        IPv6Address(f"2001:0:808:808::{turned >> 16:x}:{turned & 0xFFFF:x}"),  # Teredo, the client
        IPv6Address(f"2a00:1450::5efe:{high:x}:{low:x}"),  # ISATAP below a public prefix
        IPv6Address(f"2a00:1450::200:5efe:{high:x}:{low:x}"),  # the same, universal
    ]


# As a site with translators and tunnels of its own might list them: none of it is the IPv4 inside.
TUNNELS = ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")


@given(st.ip_addresses(v=4).filter(lambda address: not IpPolicy().allows(str(address))))
def test_an_address_that_carries_a_refused_one_is_refused(address: IPv4Address) -> None:
    policy = IpPolicy(TUNNELS)
    for carrier in embedded(address):
        if int(carrier) > 1:  # `::` and `::1` carry nothing
            assert not policy.allows(str(carrier)), carrier


@pytest.mark.parametrize("address", ["64:ff9b:1:808:8:800::", "64:ff9b:1:a00:0:100::"])
def test_translation_with_a_short_prefix_is_not_understood_and_so_refused(address: str) -> None:
    assert not IpPolicy(["::/0"]).allows(address)


@pytest.mark.parametrize("carrier", embedded(IPv4Address("8.8.8.8")))
def test_a_tunnel_that_is_listed_may_carry_a_public_one(carrier: IPv6Address) -> None:
    assert IpPolicy(TUNNELS).allows(str(carrier))


def test_without_a_list_translation_to_a_public_address_is_all_that_passes() -> None:
    carriers = embedded(IPv4Address("8.8.8.8"))
    passing = [str(carrier) for carrier in carriers if IpPolicy().allows(str(carrier))]
    assert passing == [
        "::ffff:808:808",
        "64:ff9b::808:808",
        "2a00:1450::5efe:808:808",
        "2a00:1450::200:5efe:808:808",
    ]


@given(st.ip_addresses(v=6))
def test_nothing_outside_the_global_space_passes(address: IPv6Address) -> None:
    if IpPolicy().allows(str(address)):
        assert address.is_global or address.ipv4_mapped is not None


@given(st.ip_addresses(v=4))
def test_nothing_python_calls_private_passes(address: IPv4Address) -> None:
    if IpPolicy().allows(str(address)):
        assert address.is_global
        assert not address.is_multicast


def test_a_listed_network_is_admitted_and_no_more() -> None:
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
def test_services_of_a_cloud_are_listed_as_themselves_or_not_at_all(
    address: str, around: str
) -> None:
    assert not IpPolicy([around, "0.0.0.0/0", "::/0"]).allows(address)


def test_a_service_of_a_cloud_that_is_listed_as_itself_is_admitted() -> None:
    assert IpPolicy(["169.254.169.254/32"]).allows("169.254.169.254")
    assert IpPolicy(["168.63.129.16"]).allows("168.63.129.16")


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "fe80::1%1"]
)
def test_some_are_never_dialled_whatever_is_listed(address: str) -> None:
    assert not IpPolicy(["0.0.0.0/0", "::/0"]).allows(address)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "ten", "", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_refused_with_the_way_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as 10\.0\.0\.0/8"):
        IpPolicy([text])
