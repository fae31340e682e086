"""Whom we may ask."""

import pytest

from proxy.errors import SourceForbidden
from proxy.sources.net.ssrf_policy import SsrfPolicy
from proxy.sources.net.url import parse_url


def admits(reach: SsrfPolicy, text: str) -> bool:
    try:
        reach.check_url(parse_url(text))
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
def test_hosts_on_the_list_match_whole_labels(
    entry: str, inside: list[str], outside: list[str]
) -> None:
    reach = SsrfPolicy(allow_hosts=[entry])
    assert all(admits(reach, f"https://{host}/") for host in inside)
    assert not any(admits(reach, f"https://{host}/") for host in outside)


def test_without_a_list_of_hosts_any_may_be_asked() -> None:
    assert admits(SsrfPolicy(), "https://example.com/")


@pytest.mark.parametrize("entry", ["", "*", "*.", "a*.example.com", "http://a", "a/b", "a:80", "1"])
def test_what_is_no_host_is_refused_with_the_way_to_write_one(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host: write"):
        SsrfPolicy(allow_hosts=[entry])


@pytest.mark.parametrize(
    ("port", "allowed"),
    [(80, True), (443, True), (1024, True), (65535, True), (22, False), (25, False), (1023, False)],
)
def test_ports_of_other_services_are_not_asked(port: int, allowed: bool) -> None:
    assert admits(SsrfPolicy(), f"http://example.com:{port}/") is allowed


def test_ports_can_be_chosen() -> None:
    reach = SsrfPolicy(allow_ports=["443", "8000-8001"])
    assert admits(reach, "https://example.com/")
    assert admits(reach, "http://example.com:8001/")
    assert not admits(reach, "http://example.com/")


@pytest.mark.parametrize("text", ["", "0", "70000", "9-8", "1-2-3", "http", "٨٠"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        SsrfPolicy(allow_ports=[text])


def test_plain_http_can_be_ruled_out() -> None:
    assert not admits(SsrfPolicy(allow_http=False), "http://example.com/")
    assert admits(SsrfPolicy(allow_http=False), "https://example.com/")
