"""Repeated lengths in the head of a response, however its bytes arrive."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.compat.aiohttp import LengthFilter

START = b"HTTP/1.1 200 OK\r\n"


def feed(parts: Sequence[bytes]) -> bytes:
    """Return what a parser gets where the bytes arrive in these parts."""
    head, passed = LengthFilter(), b""
    has_ended = False
    for part in parts:
        if has_ended:
            passed += part
        else:
            more, has_ended = head.feed(part)
            passed += more
    return passed


@pytest.mark.parametrize(
    ("sent", "parsed"),
    [
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\n"),
        (
            b"content-length:5,5 , 5\r\nA: b\r\nCONTENT-LENGTH:  5\n",
            b"Content-Length: 5\r\nA: b\r\n",
        ),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", None),
        (b"Content-Length: 5\r\nContent-Length: 05\r\n", None),
        (b"Content-Length: 5, 6\r\n", None),
        (b"Content-Length: 5,,5\r\n", None),
        (b"Content-Length: 5 5\r\n", None),
        (b"X-Content-Length: 5\r\nX-Content-Length: 5\r\n", None),
        (b"Content-Length : 5\r\nContent-Length : 5\r\n", None),
        (b"X: " + b"a" * 5000 + b"\r\nContent-Length: " + b"1" * 2000 + b"\r\n", None),
    ],
)
@given(data=st.data())
def test_equal_lengths_become_one_however_they_arrive(
    sent: bytes, parsed: bytes | None, data: st.DataObject
) -> None:
    body = b"\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n"
    whole = START + sent + body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert feed(parts) == START + (sent if parsed is None else parsed) + body


def test_interim_responses_have_heads_of_their_own() -> None:
    early = b"HTTP/1.1 103 Early\r\nContent-Length: 1\r\n\r\n"
    length = b"Content-Length: 2\r\n"
    assert feed([early + START + length + length + b"\r\nhi"]) == early + START + length + b"\r\nhi"


@given(st.binary(max_size=200))
def test_what_is_no_head_passes_unchanged(data: bytes) -> None:
    if b"ontent-length" not in data.lower():
        passed = feed([data])
        assert data.startswith(passed)
        assert b"content-length:".startswith(data[len(passed) :].lower())


def test_many_lines_are_left_to_the_parser() -> None:
    whole = START + b"a:\n" * 300 + b"Content-Length: 5\r\n" * 2
    assert feed([whole]) == whole
