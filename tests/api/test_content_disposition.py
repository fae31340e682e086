"""The name of a saved file ends like the format that was sent."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.api.http.content_disposition import attachment, inline
from proxy.formats import FormatName


@pytest.mark.parametrize(
    ("name", "format", "sent"),
    [
        ("a", "webp", "a.webp"),
        ("photo.png", "webp", "photo.webp"),
        ("photo.JPG", "avif", "photo.avif"),
        ("photo.jpeg", "jpeg", "photo.jpeg"),
        ("photo.JPG", "jpeg", "photo.JPG"),
        ("photo", "jpeg", "photo.jpg"),
        ("live.heic", "heif", "live.heic"),
        ("report.v2", "png", "report.v2.png"),
        ("archive.tar.gif", "webp", "archive.tar.webp"),
        (".png", "webp", ".png.webp"),
        ("logo.svg", "png", "logo.png"),
        ("end.", "gif", "end..gif"),
    ],
)
def test_a_name_gets_the_suffix_of_what_is_sent(name: str, format: FormatName, sent: str) -> None:
    assert inline(name, format) == f'inline; filename="{sent}"'.encode()
    assert attachment(name, format) == f'attachment; filename="{sent}"'.encode()


def test_a_name_that_is_not_ascii_is_sent_in_both_forms() -> None:
    expected = "inline; filename=\"b_r.webp\"; filename*=UTF-8''b%C3%A4r.webp"
    assert inline("bär.png", "webp") == expected.encode()


def test_an_attachment_without_a_name_stays_without_one() -> None:
    assert attachment("", "png") == b"attachment"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("100%25.png", "filename=\"100_25.png\"; filename*=UTF-8''100%2525.png"),
        ('a"b.png', "filename=\"a_b.png\"; filename*=UTF-8''a%22b.png"),
        ("a; b.png", 'filename="a; b.png"'),
    ],
)
def test_what_a_browser_could_read_otherwise_is_sent_in_both_forms(name: str, sent: str) -> None:
    assert attachment(name, "png") == f"attachment; {sent}".encode()


@given(st.text(min_size=1, max_size=200).filter(str.isprintable))
@example('\u65e5\u672c; "filename"=%0d%0a.jpg')
def test_any_name_makes_one_header_that_says_the_name(name: str) -> None:
    header = attachment(name, "jpeg").decode("ascii")
    found = re.fullmatch(
        r"attachment; filename=\"([ !#$&-\[\]-~]*)\"(?:; filename\*=UTF-8''([A-Za-z0-9._~%-]+))?",
        header,
    )
    assert found
    sent = found[1] if found[2] is None else unquote(found[2], errors="strict")
    assert sent.startswith(name.removesuffix(".jpg").rpartition(".")[0] or name[:1])
