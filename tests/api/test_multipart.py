"""The file in a form."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.multipart import extract_file
from proxy.errors import InvalidUpload

TYPE = "multipart/form-data; boundary=xyz"
IMAGE = b"\x89PNG\r\n\x1a\n--xy\r\n\x00"


def part(headers: str, data: bytes, boundary: str = "xyz") -> bytes:
    return f"--{boundary}\r\n{headers}\r\n\r\n".encode() + data + b"\r\n"


def form(*parts: bytes, boundary: str = "xyz") -> bytes:
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


WITH_FILENAME = part('Content-Disposition: form-data; name="img"; filename="a.png"', IMAGE)
WITH_TYPE = part('content-disposition: form-data; name="img"\r\nContent-Type: image/png', IMAGE)
OCTETS = part(
    "content-disposition: form-data; name=img\r\ncontent-type: application/octet-stream", IMAGE
)
OTHER_IMAGE = part('content-disposition: form-data; name="a"\r\ncontent-type: image/gif', b"x")
FIELD = part('Content-Disposition: form-data; name="note"', b"hello")


@pytest.mark.parametrize(
    "body",
    [
        form(WITH_FILENAME),
        form(FIELD, WITH_FILENAME),
        form(FIELD, WITH_TYPE),
        form(OCTETS),
        form(OTHER_IMAGE, WITH_FILENAME),
        b"preamble\r\n" + form(WITH_FILENAME) + b"epilogue",
    ],
)
def test_the_file_is_found(body: bytes) -> None:
    assert extract_file(body, TYPE) == IMAGE


@pytest.mark.parametrize(
    "content_type",
    ['multipart/form-data; boundary="xyz"', "multipart/form-data; charset=utf-8; Boundary=xyz"],
)
def test_the_boundary_may_be_quoted_and_follow_other_parameters(content_type: str) -> None:
    assert extract_file(form(WITH_FILENAME), content_type) == IMAGE


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_boundary_that_is_not_declared_is_read_from_the_first_line(content_type: str) -> None:
    assert extract_file(form(WITH_FILENAME), content_type) == IMAGE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (form(FIELD), "has no file"),
        (form(), "has no file"),
        (b"", "does not contain its boundary"),
        (b"--other--\r\n", "does not contain its boundary"),
        (WITH_FILENAME, "Unexpected end"),
        (form(WITH_FILENAME)[:-20], "Unexpected end"),
        (form(*[FIELD] * 33), "over a limit of 32 parts"),
        (form(part("x: " + "y" * 4096, b"")), "4096 bytes a header"),
        (form(part("\r\n".join(["x: y"] * 9), b"")), "8 headers each"),
        (form(part("content-type: image/png", IMAGE)), "Missing Content-Disposition"),
        (form(part("content-disposition: form-data", IMAGE)), "Missing name"),
        (form(part("content-disposition: form-data;\r\n name=img", IMAGE)), "continuation"),
    ],
)
def test_malformed_forms_are_rejected(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidUpload, match=reason):
        extract_file(body, TYPE)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data", b"--" + b"x" * 71 + b"\r\n"),
        ("multipart/form-data; boundary=a<b", form(WITH_FILENAME)),
        (f"multipart/form-data; boundary={'x' * 71}", form(WITH_FILENAME)),
    ],
)
def test_invalid_boundaries_are_rejected(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidUpload, match="boundary"):
        extract_file(body, content_type)


@given(st.binary(max_size=200).filter(lambda data: b"\r\n--xyz" not in b"\r\n" + data))
def test_any_bytes_pass_unchanged(data: bytes) -> None:
    head = 'Content-Disposition: form-data; name="img"; filename="a"'
    assert extract_file(form(part(head, data)), TYPE) == data


@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_body_has_a_file_or_is_rejected(body: bytes, boundary: str) -> None:
    with contextlib.suppress(InvalidUpload):
        extract_file(b"--xyz\r\n" + body, f"multipart/form-data; boundary={boundary}")
