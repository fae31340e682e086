"""Variables that Kubernetes sets for Services are ignored; nothing else is taken for one."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import PREFIX, Settings, describe_settings, load
from proxy.errors import ConfigError
from proxy.runtime.service_links import is_service_link

SETTINGS = frozenset(row.variable for row in describe_settings(load({})))

addresses = st.ip_addresses()
ports = st.integers(1, 65_535)
protocols = st.sampled_from(["tcp", "udp", "sctp"])
service_names = st.one_of(
    st.just("framekeep"),
    st.from_regex(r"framekeep-[a-z0-9-]{0,20}[a-z0-9]", fullmatch=True),
)
port_names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", fullmatch=True)


def service_links(
    service: str, address: IPv4Address | IPv6Address, port: int, protocol: str, port_name: str
) -> dict[str, str]:
    """What Kubernetes sets for a Service, as makeLinkVariables in its source does."""
    name = service.upper().replace("-", "_")
    host = f"[{address}]" if address.version == 6 else str(address)
    url = f"{protocol}://{host}:{port}"
    link = f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": str(address),
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_{port_name.upper().replace('-', '_')}": str(port),
        f"{name}_PORT": url,
        link: url,
        f"{link}_PROTO": protocol,
        f"{link}_PORT": str(port),
        f"{link}_ADDR": str(address),
    }


@given(service_names, addresses, ports, protocols, port_names)
def test_the_variables_of_every_service_named_like_us_are_ignored(
    service: str, address: IPv4Address | IPv6Address, port: int, protocol: str, port_name: str
) -> None:
    links = service_links(service, address, port, protocol, port_name)
    loaded = load(links)
    assert loaded.settings == Settings()
    assert loaded.service_links == tuple(sorted(links))


@given(
    st.from_regex(r"FRAMEKEEP_[A-Z0-9_]{1,30}", fullmatch=True).filter(
        lambda name: name not in SETTINGS and name != "FRAMEKEEP_CONFIG"
    ),
    st.text(max_size=20),
)
def test_every_other_unknown_name_stops_the_start(variable: str, value: str) -> None:
    # A name alone does not make a link, and this text is no address, port or URL.
    with pytest.raises(ConfigError, match=f"{variable} is not a setting"):
        load({variable: f"x{value}"})


@pytest.mark.parametrize("variable", sorted(SETTINGS))
@pytest.mark.parametrize("value", ["8080", "10.0.0.1", "tcp", "::1", ""])
def test_a_setting_with_a_plain_value_is_never_taken_for_a_service_link(
    variable: str, value: str
) -> None:
    assert not is_service_link(variable, value, SETTINGS)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAMEKEEP_PORT", "8080"),
        ("FRAMEKEEP_PORT", "http://10.0.0.1:8080"),
        ("FRAMEKEEP_PORT", "tcp://10.0.0.1"),
        ("FRAMEKEEP_PORT", "tcp://10.0.0.1:0"),
        ("FRAMEKEEP_PORT", "tcp://cache.example.com:8080"),
        ("FRAMEKEEP_PORT_8080_TCP", "tcp://10.0.0.1:8081"),
        ("FRAMEKEEP_PORT_8080_TCP", "udp://10.0.0.1:8080"),
        ("FRAMEKEEP_PORT_8080_TCP_PORT", "8081"),
        ("FRAMEKEEP_PORT_8080_TCP_PROTO", "udp"),
        ("FRAMEKEEP_PORT_8080_TCP_NAME", "tcp"),
        ("FRAMEKEEP_PORT_8080_HTTP", "http://10.0.0.1:8080"),
        ("FRAMEKEEP_SERVICE_HOST", "framekeep.default.svc"),
        ("FRAMEKEEP_SERVICE_PORT", "0"),
        ("FRAMEKEEP_SERVICES_HOST", "10.0.0.1"),
        ("FRAMEKEEP_LINKS_KEY", "00112233445566778899aabbccddeeff"),
        ("FRAMEKEEP_LISTEN_PORTS", "8080"),
    ],
)
def test_what_has_only_the_name_or_only_the_value_of_a_link_stops_the_start(
    variable: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"{variable} is not a setting"):
        load({variable: value})


def test_a_link_with_the_name_of_a_setting_is_told_from_it_by_its_value() -> None:
    link = {"FRAMEKEEP_SERVER_PORT": "tcp://10.0.0.1:9000"}
    assert load(link).settings.server.port == 8080
    assert load(link).service_links_message() == (
        "variables of Kubernetes Services ignored: FRAMEKEEP_SERVER_PORT; settings with such a "
        "name keep their values: FRAMEKEEP_SERVER_PORT is 8080 (default); "
        "`enableServiceLinks: false` in the pod removes these variables"
    )
    assert load({"FRAMEKEEP_SERVER_PORT": "9000"}).settings.server.port == 9000
    with pytest.raises(
        ConfigError, match=r"FRAMEKEEP_SERVER_PORT: must be a whole .* not 'tcp://nowhere'"
    ):
        load({"FRAMEKEEP_SERVER_PORT": "tcp://nowhere"})


def test_a_link_does_not_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "framekeep.toml"
    file.write_text("[server]\nport = 9000\n")
    loaded = load({"FRAMEKEEP_CONFIG": str(file), "FRAMEKEEP_SERVER_PORT": "tcp://10.0.0.1:8080"})
    assert loaded.settings.server.port == 9000
    assert f"FRAMEKEEP_SERVER_PORT is 9000 ({file})" in loaded.service_links_message()


def test_without_links_there_is_nothing_to_log() -> None:
    assert load({"FRAMEKEEP_SERVER_PORT": "9000"}).service_links_message() == ""
    assert not any(name.startswith(f"{PREFIX}SERVICE") for name in SETTINGS)
