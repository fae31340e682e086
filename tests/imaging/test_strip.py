"""A stripped file holds only what is known to belong to the image: private bytes never leave."""

import struct

import malformed_images as malformed
import pictures
import pytest

from proxy.formats import FormatName
from proxy.imaging.headers.strip import strip_metadata

SECRET = b"PRIVATE"
SCENE = pictures.scene(40, 30)


def stripped(original: bytes, format: FormatName) -> bytes:
    """The stripped file; it shows the same picture."""
    body = strip_metadata(original, format)
    assert body is not None
    assert SECRET in original
    assert (pictures.decode(body) == pictures.decode(original)).all()
    return body


JPEG = pictures.encode(SCENE, "jpeg")
JFIF_WITH_THUMBNAIL = b"JFIF\0\1\1\0\0\1\0\1\2\1" + b"PRIVAT"


@pytest.mark.parametrize(
    ("marker", "data"),
    [
        *((marker, SECRET) for marker in (*range(0xE0, 0xF0), 0xFE)),
        (0xE0, b"JFXX\0\x10" + SECRET),
        (0xE0, JFIF_WITH_THUMBNAIL + SECRET),
    ],
)
def test_a_jpeg_keeps_no_segment_of_an_application(marker: int, data: bytes) -> None:
    original = JPEG[:2] + malformed.segment(marker, data) + JPEG[2:]
    assert b"PRIV" not in stripped(original, "jpeg")


@pytest.mark.parametrize(
    ("marker", "data"),
    [
        (0xEE, b"Adobe\0d\0\0\0\0\0" + SECRET),
        *((marker, SECRET) for marker in (0x02, 0xC8, 0xDC, 0xDE, 0xDF, 0xF0, 0xFD)),
    ],
)
def test_a_jpeg_with_a_segment_of_an_unknown_kind_is_not_stripped(marker: int, data: bytes) -> None:
    original = JPEG[:2] + malformed.segment(marker, data) + JPEG[2:]
    assert strip_metadata(original, "jpeg") is None


def test_a_jpeg_ends_at_its_end() -> None:
    assert SECRET not in stripped(JPEG + SECRET + JPEG, "jpeg")


PNG = pictures.encode(SCENE, "png")


@pytest.mark.parametrize("name", [b"tEXt", b"eXIf", b"tIME", b"prVt", b"idOT", b"caBX"])
def test_a_png_keeps_no_chunk_beside_the_image(name: bytes) -> None:
    chunk = malformed.chunk(name, b"Comment\0" + SECRET)
    original = PNG[:33] + chunk + PNG[33:-12] + chunk + PNG[-12:] + SECRET
    assert SECRET not in stripped(original, "png")


@pytest.mark.parametrize(("name", "length"), [(b"PLTE", 769), (b"tRNS", 257), (b"IHDR", 14)])
def test_a_png_with_a_chunk_that_is_too_long_is_not_stripped(name: bytes, length: int) -> None:
    original = PNG[:33] + malformed.chunk(name, SECRET.ljust(length)) + PNG[33:]
    assert strip_metadata(original, "png") is None


def test_a_png_whose_last_chunk_holds_bytes_is_not_stripped() -> None:
    assert strip_metadata(PNG[:-12] + malformed.chunk(b"IEND", SECRET), "png") is None


PICTURE = pictures.encode(SCENE, "webp")[12:]
"""The one chunk of a WebP: name, length, data."""
SIDES = struct.pack("<I", 39)[:3] + struct.pack("<I", 29)[:3]
EXTENDED = (b"VP8X", b"\x2c\0\0\0" + SIDES)


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    length = struct.unpack_from("<I", PICTURE, 4)[0]
    return malformed.riff(EXTENDED, (PICTURE[:4], PICTURE[8 : 8 + length]), *chunks)


@pytest.mark.parametrize("name", [b"EXIF", b"XMP ", b"ICCP", b"prvt", b"VP8Z"])
def test_a_webp_keeps_no_chunk_beside_the_image(name: bytes) -> None:
    body = stripped(webp((name, SECRET)) + SECRET, "webp")
    assert SECRET not in body
    assert body[20] == 0  # no flag announces metadata


def test_a_webp_pads_with_zeros() -> None:
    original = malformed.riff((b"VP8X", b"\0\0\0\0" + SIDES), (b"VP8L", b"odd"))
    body = strip_metadata(original[:-1] + b"P", "webp")
    assert body is not None
    assert body == original


@pytest.mark.parametrize("name", [b"EXIF", b"prvt"])
def test_a_frame_of_a_webp_keeps_no_chunk_beside_the_image(name: bytes) -> None:
    hidden = name + struct.pack("<I", 8) + SECRET + b"!"
    frame = (b"ANMF", bytes(6) + SIDES + bytes(4) + PICTURE + hidden)
    original = malformed.riff((b"VP8X", b"\x02\0\0\0" + SIDES), (b"ANIM", bytes(6)), frame, frame)
    body = strip_metadata(original, "webp")
    assert body is not None
    assert SECRET in original
    assert SECRET not in body
    assert pictures.frame_count(body) == 2


@pytest.mark.parametrize("name", [b"VP8X", b"ANIM"])
def test_a_webp_with_a_chunk_that_is_too_long_is_not_stripped(name: bytes) -> None:
    assert strip_metadata(webp((name, bytes(10) + SECRET)), "webp") is None


GIF = pictures.encode(SCENE, "gif")
SCREEN = GIF[: 13 + (3 << ((GIF[10] & 7) + 1))]


@pytest.mark.parametrize(
    "extension",
    [
        b"\xfe\x07" + SECRET,
        b"\x01\x0c" + bytes(12) + b"\x07" + SECRET,
        b"\xff\x0bXMP DataXMP\x07" + SECRET,
        b"\xff\x0bNETSCAPE2.0\x03\x01\0\0\x07" + SECRET,
        b"\xff\x0bNETSCAPE2.0\x07" + SECRET,
        b"\xf9\x04\0\0\0\0\x07" + SECRET,
        b"\x99\x07" + SECRET,
    ],
    ids=["comment", "text", "XMP", "loop count and more", "no loop count", "timing", "unknown"],
)
def test_a_gif_keeps_no_extension_beside_timing_and_loop_count(extension: bytes) -> None:
    original = SCREEN + b"!" + extension + b"\0" + GIF[len(SCREEN) :] + SECRET
    assert SECRET not in stripped(original, "gif")


AVIF = pictures.encode(SCENE, "avif")


def renamed(name: bytes, *, instead_of: bytes) -> bytes:
    """The file with a box, or an item, of another kind."""
    at = AVIF.index(instead_of)
    return AVIF[:at] + name + AVIF[at + len(name) :]


@pytest.mark.parametrize(
    ("known", "unknown"),
    [
        (b"hdlr", b"uuid"),
        (b"mdat", b"free"),
        (b"pixi", b"prvt"),
        (b"nclx", b"prof"),
        (b"av01Color", b"Exif"),
    ],
)
def test_an_avif_with_anything_unknown_is_not_stripped(known: bytes, unknown: bytes) -> None:
    assert strip_metadata(AVIF, "avif") == AVIF
    assert strip_metadata(renamed(unknown, instead_of=known), "avif") is None


def test_an_avif_with_a_box_beside_the_image_is_not_stripped() -> None:
    assert strip_metadata(AVIF + malformed.box(b"free", SECRET), "avif") is None


def test_an_avif_with_bytes_that_no_item_uses_is_not_stripped() -> None:
    at = AVIF.index(b"mdat") - 4
    length = struct.unpack_from(">I", AVIF, at)[0]
    longer = AVIF[:at] + struct.pack(">I", length + len(SECRET)) + AVIF[at + 4 :] + SECRET
    assert strip_metadata(longer, "avif") is None


@pytest.mark.parametrize("shift", [-1, 1])
def test_an_avif_whose_item_leaves_bytes_of_the_media_out_is_not_stripped(shift: int) -> None:
    """As many bytes are used as there are, but not the same ones."""
    start = AVIF.index(b"mdat") + 4
    at = AVIF.index(struct.pack(">I", start), AVIF.index(b"iloc"))
    moved = AVIF[:at] + struct.pack(">I", start + shift) + AVIF[at + 4 :]
    assert strip_metadata(moved, "avif") is None
