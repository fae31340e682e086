"""The name of a saved file ends like the format that was sent."""

import pytest

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
