"""The SSRF policy on scheme, host and port."""

import pytest

from proxy.errors import SourceForbidden
from proxy.sources.net.ssrf_policy import SsrfPolicy
from proxy.sources.net.url import parse_url


def allows(policy: SsrfPolicy, text: str) -> bool:
    try:
        policy.check_url(parse_url(text))
    except SourceForbidden:
        return False
    return True


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        (
            "example.com",
            ["example.com", "EXAMPLE.com"],
            ["a.example.com", "example.com.evil.org", "badexample.com", "example.co", "com"],
        ),
        (
            "*.example.com",
            ["a.example.com", "b.a.example.com"],
            ["example.com", "badexample.com", "a.example.com.evil.org"],
        ),
        (".example.com", ["example.com", "a.example.com"], ["badexample.com", "evil.org"]),
        ("*.Bücher.example", ["a.xn--bcher-kva.example"], ["xn--bcher-kva.example"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.70", "a.example"]),
        ("[2001:db8::1]", ["[2001:db8:0::1]"], ["[2001:db8::2]"]),
        ("2001:db8::1", ["[2001:db8::1]"], ["[2001:db8::11]"]),
    ],
)
def test_allowed_hosts_match_whole_labels(
    entry: str, inside: list[str], outside: list[str]
) -> None:
    policy = SsrfPolicy(allow_hosts=[entry])
    assert all(allows(policy, f"https://{host}/") for host in inside)
    assert not any(allows(policy, f"https://{host}/") for host in outside)


def test_any_host_is_allowed_without_a_list() -> None:
    assert allows(SsrfPolicy(), "https://example.com/")


@pytest.mark.parametrize("entry", ["", "*", "*.", "a*.example.com", "http://a", "a/b", "a:80", "1"])
def test_an_invalid_host_is_an_error_that_says_how_to_write_one(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host: write"):
        SsrfPolicy(allow_hosts=[entry])


@pytest.mark.parametrize(
    ("port", "allowed"),
    [(80, True), (443, True), (1024, True), (65535, True), (22, False), (25, False), (1023, False)],
)
def test_ports_of_other_services_are_not_allowed(port: int, allowed: bool) -> None:
    assert allows(SsrfPolicy(), f"http://example.com:{port}/") is allowed


def test_allowed_ports_can_be_set() -> None:
    policy = SsrfPolicy(allow_ports=["443", "8000-8001"])
    assert allows(policy, "https://example.com/")
    assert allows(policy, "http://example.com:8001/")
    assert not allows(policy, "http://example.com/")


@pytest.mark.parametrize("text", ["", "0", "70000", "9-8", "1-2-3", "http", "٨٠"])
def test_an_invalid_port_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        SsrfPolicy(allow_ports=[text])


def test_plain_http_can_be_disallowed() -> None:
    assert not allows(SsrfPolicy(allow_http=False), "http://example.com/")
    assert allows(SsrfPolicy(allow_http=False), "https://example.com/")
