"""Malformed links and nearly right signatures: a proper error, never a server error."""

import asyncio
import base64
import string
from collections.abc import Iterator

import httpx2 as httpx
import photos
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_server import LiveServer, live_server
from security.raw_http import get
from security.response_checks import check_response

from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.operation import operation_name

KEYS = (bytes(range(32)), bytes(range(1, 33)))
NAMES = [operation_name(kind) for kind in OPERATIONS]

# Any bytes that a request line can contain; more often those with a meaning in a link.
PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "/",
                "//",
                ":",
                "::",
                "=",
                "%",
                "%2F",
                "%252F",
                "%00",
                "%ff",
                "%0d%0a",
                "?",
                "#",
                "&",
            ),
            *("..", ".", "_", "-", "-1", "0", "1e9", "1e999", "nan", "inf", "0x1", "9" * 40, "1_0"),
            *("https://", "http:/", "b64:", "demo:", "upload:", "file:///", "preset:", "expires:"),
            *("v:", "filename:", "tag:", "info", "convert:auto", "convert:svg", "a" * 300, "\\"),
            *(
                "true",
                "null",
                "[]",
                "{}",
                "'",
                '"',
                "<script>",
                "${x}",
                "\u00e9",
                "\u202e",
                "\u2028",
            ),
            *NAMES,
        ]
    ),
    st.text(string.printable.strip() + "é漢", max_size=8),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
)
LINKS = st.lists(PIECES, max_size=12).map("".join)
STEPS = st.lists(
    st.builds(
        lambda name, args: ":".join((name, *args)),
        st.sampled_from(NAMES),
        st.lists(st.one_of(st.integers(-9, 9000).map(str), PIECES), max_size=5),
    ),
    min_size=1,
    max_size=5,
).map("/".join)


def to_request_target(link: str) -> bytes:
    """The link without the bytes that would end the request line."""
    return bytes(byte for byte in link.encode() if byte > 0x20 and byte != 0x7F)


@pytest.fixture(scope="module")
def source(server: LiveServer) -> str:
    return server.origin.serve("/a.png", photos.encode_scene("png", 40, 30))


FUZZ = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(link=LINKS)
def test_any_link_gets_a_proper_response(server: LiveServer, link: str) -> None:
    response = asyncio.run(get(server.url, b"/_/" + to_request_target(link)))
    check_response(response)
    assert response.status_code < 500


@FUZZ
@given(steps=STEPS)
def test_any_steps_get_a_proper_response(server: LiveServer, source: str, steps: str) -> None:
    response = asyncio.run(
        get(server.url, b"/_/" + to_request_target(steps) + b"/" + source.encode())
    )
    check_response(response)
    assert response.status_code < 500 or response.status_code in (502, 504)


@FUZZ
@given(st.binary(max_size=60))
def test_any_bytes_get_a_proper_response(server: LiveServer, link: bytes) -> None:
    path = bytes(byte for byte in link if byte > 0x20 and byte != 0x7F)
    response = asyncio.run(get(server.url, b"/" + path))
    check_response(response)
    assert response.status_code < 500


# Signatures.


@pytest.fixture(scope="module")
def signed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    keys = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false",
        "FRAMEKEEP_LINKS_KEYS": ",".join(key.hex() for key in KEYS),
    }
    with live_server(tmp_path_factory.mktemp("cache"), keys) as server:
        server.origin.serve("/a.png", photos.encode_scene("png", 40, 30))
        yield server


def signed_part(server: LiveServer) -> str:
    return f"/resize:10:10:fill/{server.origin.url('/a.png')}"


def get_signed(
    server: LiveServer, signature: bytes | str, rest: str | None = None
) -> httpx.Response:
    text = signature if isinstance(signature, bytes) else signature.encode()
    link = b"/" + text + (signed_part(server) if rest is None else rest).encode()
    return asyncio.run(get(server.url, link))


@pytest.mark.parametrize("key", KEYS)
def test_a_link_signed_with_any_of_the_keys_is_valid(signed_server: LiveServer, key: bytes) -> None:
    assert (
        get_signed(
            signed_server, Keyring([key]).sign(signed_part(signed_server).encode())
        ).status_code
        == 200
    )


def near_misses(good: str) -> list[bytes | str]:
    alphabet = string.ascii_letters + string.digits + "-_"
    last = alphabet[(alphabet.index(good[-1]) + 1) % 64]
    raw = base64.urlsafe_b64decode(good + "==")
    return [
        *("", "_", "-", "unsafe", "insecure", "none", "null", "0", "a" * 22, "A" * 22, "a" * 43),
        *(good[:-1], good[1:], good + "A", good + "=", good + "==", good + " ".strip() + "%3D"),
        *(good[:-1] + last, good.swapcase(), good.lower(), good.upper(), good[::-1], good * 2),
        *(good.replace("-", "+").replace("_", "/") + "+", "%" + good, good + "%00", good + "\\"),
        *(good + "?", good + "#", good + ";a", "./" + good, "../" + good, "/" + good, good + "/"),
        *(raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode(), good + "." + good),
        *("%" + good[0].encode().hex() + good[1:], good[:-1] + "%41", "sha256=" + good),
        *(raw[:8].hex(), base64.urlsafe_b64encode(raw[:8]).decode().rstrip("=")),
        *(good.encode() + b"\xff", b"\xc0\xae" + good.encode(), good.encode()[:21] + b"\xc3\xa9"),
        *(good + "A" * 20, good + "A" * 21, good[:21] + "=", good[:20] + "=="),
    ]


def test_a_nearly_right_signature_is_invalid(signed_server: LiveServer) -> None:
    good = Keyring([KEYS[0]]).sign(signed_part(signed_server).encode())
    request_count = len(signed_server.origin.requests)
    for variant in near_misses(good):
        response = get_signed(signed_server, variant)
        check_response(response)
        assert response.status_code in (400, 403, 404), (variant, response.text)
    assert len(signed_server.origin.requests) == request_count


def test_a_signature_is_valid_for_no_other_link(signed_server: LiveServer) -> None:
    rest = signed_part(signed_server)
    good = Keyring([KEYS[0]]).sign(rest.encode())
    request_count = len(signed_server.origin.requests)
    changed = [
        *(rest + "?a", rest + "/", rest + "%20", "/" + rest, rest.replace("10", "11")),
        *(rest.replace("re", "%72e"), rest.replace("fill", "Fill"), rest.replace("/a.", "/%61.")),
        *(rest.replace(":", "%3B"), rest.replace(":", "%253A"), rest.replace(":", "%0A:")),
        *(
            "/v:1" + rest,
            rest.replace("//127", "//127.0.0.1:1/127"),
            rest.replace("a.png", "A.png"),
        ),
        *("", "/", rest[:-1], rest.replace("resize:10:10", "resize:10:10:")),
    ]
    for other in changed:
        response = get_signed(signed_server, good, other)
        check_response(response)
        assert response.status_code == 403, (other, response.text)
    assert len(signed_server.origin.requests) == request_count


def test_a_link_that_a_proxy_has_rewritten_is_the_same_link(signed_server: LiveServer) -> None:
    rest = signed_part(signed_server)
    good = Keyring([KEYS[0]]).sign(rest.encode())
    answers = [
        get_signed(signed_server, good, sent)
        for sent in (rest, rest.replace(":", "%3A"), rest.replace(":", "%3a").replace("//", "/"))
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.headers["x-cache"] for answer in answers[1:]] == ["hit", "hit"]
    assert len({answer.content for answer in answers}) == 1


def test_a_signature_by_another_key_is_invalid(signed_server: LiveServer) -> None:
    rest = signed_part(signed_server).encode()
    for key in (bytes(32), KEYS[0][:-1], KEYS[0] + b"\1", KEYS[0].hex().encode()):
        assert get_signed(signed_server, Keyring([key]).sign(rest)).status_code == 403


@FUZZ
@given(st.text(string.ascii_letters + string.digits + "-_", min_size=22, max_size=22))
def test_no_guessed_signature_is_valid(signed_server: LiveServer, guess: str) -> None:
    assert get_signed(signed_server, guess).status_code == 403
