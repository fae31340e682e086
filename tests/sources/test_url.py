"""The strict parser of outgoing URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InvalidSource
from proxy.sources.net.url import Url, parse_url, redact_queries, resolve_redirect


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://example.com", Url("http", "example.com", 80, "/")),
        ("https://example.com?x=1", Url("https", "example.com", 443, "/?x=1")),
        ("HTTPS://Example.COM:8443/A", Url("https", "example.com", 8443, "/A")),
        ("http://my_bucket.example/a//b/../c", Url("http", "my_bucket.example", 80, "/a//b/../c")),
        ("http://h/%2e%2E/%zz?a=http://b:1/", Url("http", "h", 80, "/%2e%2E/%zz?a=http://b:1/")),
        ("http://r3---sn-x.example/", Url("http", "r3---sn-x.example", 80, "/")),
        (
            "https://bücher.example/é?ü",
            Url("https", "xn--bcher-kva.example", 443, "/%C3%A9?%C3%BC"),
        ),
        ("https://xn--bcher-kva.example/", Url("https", "xn--bcher-kva.example", 443, "/")),
        ("http://B\xdcCHER.example/", Url("http", "xn--bcher-kva.example", 80, "/")),
        ("http://b%C3%BCcher.example/", Url("http", "xn--bcher-kva.example", 80, "/")),
        ("http://bu%cc%88cher.example:81/", Url("http", "xn--bcher-kva.example", 81, "/")),
        ("http://stra\xdfe.example/", Url("http", "xn--strae-oqa.example", 80, "/")),
        ("http://\u65e5\u672c\u3002jp/", Url("http", "xn--wgv71a.jp", 80, "/")),
        ("http://\uff76\uff9e.jp/", Url("http", "xn--mck.jp", 80, "/")),
        ("http://\u2615.example/", Url("http", "xn--53h.example", 80, "/")),
        ("http://i\u2764\ufe0f.example/", Url("http", "xn--i-7iq.example", 80, "/")),
        ("http://xn--i-7iq.example/", Url("http", "xn--i-7iq.example", 80, "/")),
        ("http://192.0.2.7:81/", Url("http", "192.0.2.7", 81, "/")),
        ("http://[2001:DB8:0::1]:81/", Url("http", "2001:db8::1", 81, "/")),
        ("http://7.example/", Url("http", "7.example", 80, "/")),
    ],
)
def test_a_url_is_parsed_exactly(text: str, url: Url) -> None:
    assert parse_url(text) == url
    assert parse_url(url.text) == url


AMBIGUOUS_HOSTS = (
    # numbers that some parsers take for an address
    *("0", "00", "1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x"),
    *("017700000001", "0177.0.0.1", "127.0.0.01", "127.0.0.1.1", "1.2.3.256", "127.0.0.0x1"),
    *("a.1", "example.0x1f", "4294967296", "0x00000000007f000001", "7147006462"),
    "00000251.00000376.00000251.00000376",
    # characters that some parsers turn into others
    *("127%2e0%2e0%2e1", "%6cocalhost", "example.com%00", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    *("\uff11\uff12\uff17.0.0.1", "1\u200d27.0.0.1", "local\xadhost", "exa\u2028mple.com"),
    *("%E2%91%A0.0.0.1", "%FC.com", "%ff%fe", "\u2100.com", "\U0001f469\u200d\U0001f4bb.com"),
    *("xn--53h-a", "xn--a-ecp", "\ufdfa\ufdfa\ufdfa\ufdfa.com", "%C2%AD.com", "\u2615+.com"),
    *("ⓔxample.com", "\u017f.example", "xn--a", "xn--", "a_\u0301.com"),
    # invalid names
    *("example.com.", "127.0.0.1.", ".example.com", "a..b", ".", "-a.com", "a-.com"),
    *("exa!mple.com", "exa'mple.com", 'exa"mple.com', "a,b", "a;b", "a*b", "a{b}", "a|b"),
    *("a^b", "a`b", "a" * 64 + ".com", ".".join(["a" * 60] * 5)),
    # brackets
    *("[::1", "::1]", "[]", "[0]", "[::1]x", "[::1][::1]", "[fe80::1%lo]", "[fe80::1%25lo]"),
    *("[v1.x]", "[127.0.0.1]", "[::ffff:127.0.0.256]", "[1:2]", "a[::1]"),
    # ports
    *("a:", "a:0", "a:65536", "a:080", "a:-1", "a:+80", "a:80:80", "a:http", "a:\u0668\u0660"),
    *("[::1]:", "a:8_0"),
    # user names
    *("user@a", "user:pass@a", "@a", "a@", "a@b@c", ":@a", "a%40b"),
    "",
)  # fmt: skip


@pytest.mark.parametrize("host", AMBIGUOUS_HOSTS)
def test_ambiguous_hosts_are_invalid(host: str) -> None:
    with pytest.raises(InvalidSource, match="URL"):
        parse_url(f"http://{host}/")


@pytest.mark.parametrize(
    "text",
    [
        *("", "http", "http:", "http:/a/", "http:///a", "http:a/", "//a/", "a/b", "://a/"),
        *("ftp://a/", "file:///etc/passwd", "gopher://a/", "http+unix://a/", "http//a/"),
        *(" http://a/", "http://a/ ", "\nhttp://a/", "http://a/\r\nX: y", "http://a/\t"),
        *("http://a/\x7f", "http://a/\x00", "http://a b/", "http://a/b c", "http:\\\\a/"),
        *("http://a\\@b/", "http://a/\\", "http://a/#b", "http://a#@b/", "http://#", "http://?"),
        *("http:/\\a/", "\uff48ttp://a/", "javascript:alert(1)"),
        "http://a/\ud800",
        "http://a/" + "b" * 8192,
    ],
)
def test_ambiguous_urls_are_invalid(text: str) -> None:
    with pytest.raises(InvalidSource, match="URL"):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://%31.example/", "percent-encoded"),
        ("http://a.example./", "ends with a dot"),
        ("http://0x7f.1/", "not a plain IPv4 address"),
        ("http://u:p@a/", "user name or password"),
        ("http://a/b c", "space"),
        ("http://a\\b/", "backslash"),
        ("http://a/#b", "fragment"),
        ("http://a:99999/", "port"),
        ("http://[::1%1]/", "zone"),
        ("http:///a", "no host"),
        ("ftp://a/", "must be http:// or https://"),
    ],
)
def test_an_error_names_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidSource, match=reason):
        parse_url(text)


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://a/", "http://a"]))
def test_a_parsed_url_is_requested_as_it_was_parsed(text: str, start: str) -> None:
    try:
        url = parse_url(start + text)
    except InvalidSource:
        return
    assert parse_url(url.text) == url
    assert url.text.isascii()
    assert url.text.isprintable()
    assert " " not in url.text


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("/b", "https://example.com/b"),
        ("b?c", "https://example.com/a/b?c"),
        ("?c", "https://example.com/a/x?c"),
        ("../b", "https://example.com/b"),
        ("//other.example/b", "https://other.example/b"),
        ("http://other.example:81/b#part", "http://other.example:81/b"),
        ("/my picture é.jpg", "https://example.com/my%20picture%20%C3%A9.jpg"),
        ("//b\xfccher.example/b", "https://xn--bcher-kva.example/b"),
        ("https://b%C3%BCcher.example/b", "https://xn--bcher-kva.example/b"),
        ("https://B\xdcCHER.example:81/\xe9", "https://xn--bcher-kva.example:81/%C3%A9"),
        ("/\udce9.jpg", "https://example.com/%E9.jpg"),
        ("", "https://example.com/a/x"),
    ],
)
def test_a_redirect_is_resolved(location: str, text: str) -> None:
    assert resolve_redirect(parse_url("https://example.com/a/x"), location).text == text


@pytest.mark.parametrize(
    "location",
    [
        *(
            "file:///etc/passwd",
            "ftp://a/",
            "data:text/plain,x",
            "javascript:1",
            "//u@a/",
            "\\\\a/",
        ),
        *("http://127.1/", "http://127.0.\t0.1/", "http://a b/", "https:///a", "//[::1", "http://"),
        "//b\udcfccher.example/",
    ],
)
def test_a_redirect_to_an_invalid_url_is_an_error(location: str) -> None:
    with pytest.raises(InvalidSource):
        resolve_redirect(parse_url("https://example.com/a/x"), location)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("timeout to http://a/b?key=1&x=2 after 3 s", "timeout to http://a/b?… after 3 s"),
        ("400, url='http://a/?key=1', status", "400, url='http://a/?…', status"),
        ("really? yes", "really? yes"),
    ],
)
def test_queries_are_redacted(text: str, clean: str) -> None:
    assert redact_queries(text) == clean
