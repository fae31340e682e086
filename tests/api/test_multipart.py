"""One file out of a form."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.multipart import file
from proxy.errors import InvalidUpload

TYPE = "multipart/form-data; boundary=xyz"
PICTURE = b"\x89PNG\r\n\x1a\n--xy\r\n\x00"


def part(head: str, data: bytes, boundary: str = "xyz") -> bytes:
    return f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def form(*parts: bytes, boundary: str = "xyz") -> bytes:
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


NAMED = part('Content-Disposition: form-data; name="img"; filename="a.png"', PICTURE)
TYPED = part('content-disposition: form-data; name="img"\r\nContent-Type: image/png', PICTURE)
OCTETS = part("content-disposition: form-data\r\ncontent-type: application/octet-stream", PICTURE)
OTHER = part('content-disposition: form-data; name="a"\r\ncontent-type: image/gif', b"x")
FIELD = part('Content-Disposition: form-data; name="note"', b"hello")


@pytest.mark.parametrize(
    "body",
    [
        form(NAMED),
        form(FIELD, NAMED),
        form(FIELD, TYPED),
        form(OCTETS),
        form(OTHER, NAMED),
        b"preamble\r\n" + form(NAMED) + b"epilogue",
    ],
)
def test_the_file_is_found(body: bytes) -> None:
    assert file(body, TYPE) == PICTURE


@pytest.mark.parametrize(
    "content_type",
    ['multipart/form-data; boundary="xyz"', "multipart/form-data; charset=utf-8; Boundary=xyz"],
)
def test_ways_to_tell_the_boundary(content_type: str) -> None:
    assert file(form(NAMED), content_type) == PICTURE


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_boundary_that_is_not_told_stands_in_the_first_line(content_type: str) -> None:
    assert file(form(NAMED), content_type) == PICTURE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (form(FIELD), "has no file"),
        (form(), "has no file"),
        (b"", "boundary is not in it"),
        (b"--other--\r\n", "boundary is not in it"),
        (NAMED, "breaks off"),
        (form(NAMED)[:-20], "breaks off"),
        (form(*[FIELD] * 33), "more than 32 parts"),
        (form(part("x: " + "y" * 8192, b"")), "at most 8192 bytes"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidUpload, match=reason):
        file(body, TYPE)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data", b"--" + b"x" * 71 + b"\r\n"),
        ("multipart/form-data; boundary=a<b", form(NAMED)),
        (f"multipart/form-data; boundary={'x' * 71}", form(NAMED)),
    ],
)
def test_bad_boundaries_are_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidUpload, match="boundary"):
        file(body, content_type)


@given(st.binary(max_size=200).filter(lambda data: b"\r\n--xyz" not in b"\r\n" + data))
def test_any_bytes_come_through(data: bytes) -> None:
    assert file(form(part('Content-Disposition: form-data; filename="a"', data)), TYPE) == data


@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_body_is_a_file_or_a_refusal(body: bytes, boundary: str) -> None:
    with contextlib.suppress(InvalidUpload):
        file(b"--xyz\r\n" + body, f"multipart/form-data; boundary={boundary}")
