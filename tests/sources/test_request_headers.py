"""Request headers that are forwarded to a source."""

import pytest

from proxy.errors import InvalidSource
from proxy.sources.net.request_headers import forwardable_headers


def test_equal_headers_have_one_canonical_form() -> None:
    assert (
        forwardable_headers([("X-Key", "1"), ("Authorization", "Bearer a b")])
        == forwardable_headers([("AUTHORIZATION", "Bearer a b"), ("x-key", "1")])
        == (("authorization", "Bearer a b"), ("x-key", "1"))
    )


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Cookie", "cookie2", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade"),
        *("Transfer-Encoding", "Content-Length", "Expect", "Accept-Encoding", "Range", "Via"),
        *("If-None-Match", "If-Modified-Since", "Proxy-Authorization", "X-Forwarded-For"),
        *("Forwarded", "Sec-Fetch-Site", "Origin", "Referer", "X-HTTP-Method-Override"),
        *("", "a b", "a:", "a\r\nb", "é", "a" * 129),
    ],
)
def test_reserved_and_invalid_names_are_errors(name: str) -> None:
    with pytest.raises(InvalidSource, match="header"):
        forwardable_headers([(name, "1")])


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nB: c", "a\x00", "é", "\x7f", "a\nb"])
def test_a_value_cannot_end_its_line(value: str) -> None:
    with pytest.raises(InvalidSource, match="value of header x-key"):
        forwardable_headers([("X-Key", value)])


def test_number_and_length_are_limited() -> None:
    with pytest.raises(InvalidSource, match="at most 32"):
        forwardable_headers([(f"x-{number}", "1") for number in range(33)])
    with pytest.raises(InvalidSource, match="at most 8192"):
        forwardable_headers([("x-key", "1" * 8188)])
    with pytest.raises(InvalidSource, match="given twice"):
        forwardable_headers([("x-key", "1"), ("X-Key", "2")])
