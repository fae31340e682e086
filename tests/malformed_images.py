"""Malformed image files made by code: small, but far larger, longer or deeper inside.

`files` gives them by name, with the responses that are allowed.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import pictures
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


class MalformedImage(NamedTuple):
    """A file that must be rejected, or with ``outcome`` "either" may also be rendered.

    ``problem_type`` is the expected error where only one is right.
    """

    body: bytes
    outcome: Literal["rejected", "either"] = "rejected"
    problem_type: str = ""


def too_large(body: bytes) -> MalformedImage:
    """A file that is rejected by its header, for its size."""
    return MalformedImage(body, problem_type="image-too-large")


# PNG.


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ihdr(width: int, height: int, depth: int = 8, color: int = 2, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))


def png(*chunks: bytes, head: bytes | None = None, pixels: bytes | None = None) -> bytes:
    """A PNG of 4 x 4 pixels by default; the chunks come before the pixels."""
    rows = zlib.compress(b"\0" * (4 * 13)) if pixels is None else pixels
    return b"".join((PNG, head or ihdr(4, 4), *chunks, chunk(b"IDAT", rows), chunk(b"IEND")))


def pngs() -> Iterator[tuple[str, MalformedImage]]:
    zeros = zlib.compress(bytes(40_000_000), 9)
    yield "png-more-pixels-than-declared", MalformedImage(png(pixels=zeros), "either")
    yield "png-fewer-pixels-than-declared", MalformedImage(png(pixels=zlib.compress(b"\0" * 5)))
    yield "png-interlaced-60-megapixels", too_large(png(head=ihdr(8000, 7500, interlaced=1)))
    yield "png-16-bit-80-megapixels", too_large(png(head=ihdr(10_000, 8000, 16, 6)))
    yield "png-side-of-2-to-31", too_large(png(head=ihdr(2**31, 1)))
    yield "png-side-of-2-to-32-less-one", too_large(png(head=ihdr(2**32 - 1, 2**32 - 1)))
    yield "png-one-pixel-wide", too_large(png(head=ihdr(1, 2**24)))
    yield "png-color-type-1", MalformedImage(png(head=ihdr(4, 4, 8, 1)))
    yield "png-depth-3", MalformedImage(png(head=ihdr(4, 4, 3, 0)))
    yield "png-interlace-9", MalformedImage(png(head=ihdr(4, 4, interlaced=9)))
    yield "png-palette-missing", MalformedImage(png(head=ihdr(4, 4, 8, 3)))
    yield (
        "png-palette-of-7-bytes",
        MalformedImage(png(chunk(b"PLTE", b"1234567"), head=ihdr(4, 4, 8, 3))),
    )
    yield "png-two-headers", MalformedImage(png(ihdr(60_000, 60_000)), "either")
    yield "png-header-not-first", MalformedImage(PNG + chunk(b"tEXt", b"a\0b") + png()[8:])
    yield (
        "png-chunk-of-2-gigabytes",
        MalformedImage(PNG + ihdr(4, 4) + b"\x7f\xff\xff\xffIDAT" + b"0" * 99),
    )
    yield (
        "png-chunk-longer-than-allowed",
        MalformedImage(PNG + ihdr(4, 4) + b"\xff\xff\xff\xffIDAT0000"),
    )
    yield "png-no-end", MalformedImage(png()[:-12], "either")
    yield "png-text-bomb", MalformedImage(png(chunk(b"zTXt", b"a\0\0" + zeros)), "either")
    yield "png-itext-bomb", MalformedImage(png(chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)), "either")
    yield "png-profile-bomb", MalformedImage(png(chunk(b"iCCP", b"a\0\0" + zeros)), "either")
    packed = zlib.compress(bytes(8_000_000), 9)
    texts = [chunk(b"iTXt", b"a\0\1\0\0\0" + packed)] * 200
    yield "png-200-texts-of-8-megabytes", MalformedImage(png(*texts))
    yield "png-300000-chunks", MalformedImage(png(*[chunk(b"tEXt")] * 300_000))
    yield "png-50000-chunks", MalformedImage(png(*[chunk(b"tEXt", b"a\0b")] * 50_000), "either")
    yield (
        "png-one-giant-exif",
        MalformedImage(png(chunk(b"eXIf", b"II*\0" + b"\xff" * 8_000_000)), "either"),
    )
    yield "png-huge-density", MalformedImage(png(chunk(b"pHYs", b"\xff" * 8 + b"\1")), "either")
    yield "png-offset", MalformedImage(png(chunk(b"oFFs", b"\x7f" + b"\xff" * 7 + b"\0")), "either")
    frames = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield "png-endless-animation", MalformedImage(png(frames), "either")
    window = struct.pack(">IIIIIHHBB", 0, 2**31 - 1, 2**31 - 1, 0, 0, 0, 0, 0, 0)
    yield "png-frame-larger-than-all", MalformedImage(png(frames, chunk(b"fcTL", window)), "either")


# JPEG.


def segment(marker: int, data: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg(**options: object) -> bytes:
    return pictures.encode(pictures.scene(64, 48), "jpeg", **options)


def jpegs() -> Iterator[tuple[str, MalformedImage]]:
    plain = jpeg()
    head, rest = plain[:2], plain[2:]
    frame = plain.index(b"\xff\xc0")
    size = frame + 5

    def sized(width: int, height: int) -> bytes:
        return plain[:size] + struct.pack(">HH", height, width) + plain[size + 4 :]

    yield "jpeg-65535-square", too_large(sized(65_535, 65_535))
    yield "jpeg-no-height", MalformedImage(sized(64, 0))
    yield "jpeg-taller-than-its-data", MalformedImage(sized(64, 4096), "either")
    yield "jpeg-no-frame", MalformedImage(plain[:frame] + plain[frame + 19 :])
    yield (
        "jpeg-two-frames",
        MalformedImage(plain[:frame] + sized(9000, 9000)[frame : frame + 19] + plain[frame:]),
    )
    yield "jpeg-255-components", MalformedImage(plain[: frame + 9] + b"\xff" + plain[frame + 10 :])
    yield "jpeg-sampling-15", MalformedImage(plain[: frame + 11] + b"\xff" + plain[frame + 12 :])
    yield "jpeg-sampling-0", MalformedImage(plain[: frame + 11] + b"\0" + plain[frame + 12 :])
    yield (
        "jpeg-arithmetic",
        MalformedImage(plain[:frame] + b"\xff\xc9" + plain[frame + 2 :], "either"),
    )
    yield "jpeg-lossless", MalformedImage(plain[:frame] + b"\xff\xc3" + plain[frame + 2 :])
    yield "jpeg-empty-segment", MalformedImage(head + b"\xff\xe1\x00\x00" + rest)
    yield "jpeg-segment-past-the-end", MalformedImage(plain[:20] + b"\xff\xe1\xff\xff" + b"a" * 40)
    yield "jpeg-only-fill-bytes", MalformedImage(head + b"\xff" * 1_000_000)
    exif = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff" * 8)
    yield "jpeg-exif-of-65535-fields", MalformedImage(head + exif + rest, "either")
    circle = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x00\x00\x08\0\0\0")
    yield "jpeg-exif-pointing-to-itself", MalformedImage(head + circle + rest, "either")
    yield (
        "jpeg-300-segments",
        MalformedImage(head + segment(0xE1, b"a" * 60_000) * 300 + rest, "either"),
    )
    part = segment(0xE2, b"ICC_PROFILE\0\1\xff" + b"\xff" * 60_000)
    yield "jpeg-profile-in-255-parts", MalformedImage(head + part * 255 + rest, "either")
    odd = segment(0xE2, b"ICC_PROFILE\0\0\0" + bytes(200))
    yield "jpeg-profile-part-number-0", MalformedImage(head + odd + rest, "either")
    scans = jpeg(progressive=True)
    start = scans.index(b"\xff\xda")
    end = scans.index(b"\xff", start + 2 + 12)
    while scans[end + 1] in (0, *range(0xD0, 0xD8)):
        end = scans.index(b"\xff", end + 2)
    many = scans[:end] + scans[start:end] * 3000 + scans[end:]
    yield "jpeg-3000-scans", too_large(many)
    yield "jpeg-only-end-markers", MalformedImage(head + b"\xff\xd9" * 5000)
    yield "jpeg-then-page", MalformedImage(plain + b"<html><script>alert(1)</script>", "either")


# GIF.


def gif(width: int, height: int, *frames: bytes, flags: int = 0x80) -> bytes:
    colors = bytes(6) if flags & 0x80 else b""
    screen = struct.pack("<HHBBB", width, height, flags, 0, 0)
    return b"GIF89a" + screen + colors + b"".join(frames) + b";"


def gif_frame(width: int, height: int, left: int = 0, top: int = 0, flags: int = 0) -> bytes:
    place = struct.pack("<HHHHB", left, top, width, height, flags)
    return b"," + place + b"\x02\x03\x44\x01\x05\x00"


def gifs() -> Iterator[tuple[str, MalformedImage]]:
    yield "gif-65535-square", too_large(gif(65_535, 65_535, gif_frame(1, 1)))
    yield "gif-frame-outside", MalformedImage(gif(4, 4, gif_frame(60_000, 60_000)), "either")
    yield "gif-frame-beside", MalformedImage(gif(4, 4, gif_frame(4, 4, 65_000, 65_000)), "either")
    yield "gif-5000-frames", MalformedImage(gif(2000, 2000, gif_frame(1, 1) * 5000), "either")
    yield "gif-empty-screen", MalformedImage(gif(0, 0, gif_frame(0, 0)), "either")
    yield "gif-no-colors", MalformedImage(gif(4, 4, gif_frame(4, 4), flags=0), "either")
    yield "gif-interlaced", MalformedImage(gif(4, 4, gif_frame(4, 4, flags=0x40)), "either")
    yield "gif-code-size-255", MalformedImage(gif(4, 4, b"," + bytes(9) + b"\xff\x01\0\0"))
    yield (
        "gif-endless-comment",
        MalformedImage(gif(4, 4, b"!\xfe" + b"\xff" + b"a" * 255), "rejected"),
    )
    comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 20_000 + b"\0"
    yield (
        "gif-five-megabytes-of-comment",
        MalformedImage(gif(4, 4, comment, gif_frame(4, 4)), "either"),
    )


# WebP.


def riff(*chunks: tuple[bytes, bytes], declared_size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) if declared_size is None else declared_size) + body


def webps() -> Iterator[tuple[str, MalformedImage]]:
    lossy = pictures.encode(pictures.scene(64, 48), "webp")[20:]
    extended = bytes([0, 0, 0, 0])
    small, large = b"\x3f\0\0\x2f\0\0", b"\xff" * 6
    yield "webp-16777216-square", too_large(riff((b"VP8X", extended + large), (b"VP8 ", lossy)))
    yield (
        "webp-canvas-of-another-size",
        MalformedImage(
            riff((b"VP8X", extended + b"\xff\x0f\0\xff\x0f\0"), (b"VP8 ", lossy)), "either"
        ),
    )
    yield "webp-lossless-16384-square", MalformedImage(riff((b"VP8L", b"\x2f" + b"\xff" * 40)))
    yield (
        "webp-length-of-4-gigabytes",
        MalformedImage(riff((b"VP8 ", lossy), declared_size=2**32 - 1), "either"),
    )
    yield "webp-length-of-0", MalformedImage(riff((b"VP8 ", lossy), declared_size=0), "either")
    frame = struct.pack("<I", 0)[:3] * 2 + b"\x3f\0\0\x2f\0\0" + b"\0\0\0\0"
    inner = b"VP8 " + struct.pack("<I", len(lossy)) + lossy
    animated = [(b"VP8X", b"\x02\0\0\0" + small), (b"ANIM", bytes(6))]
    many = riff(*animated, *[(b"ANMF", frame + inner)] * 1000)
    yield "webp-1000-frames", MalformedImage(many, "either")
    yield "webp-empty-frame", MalformedImage(riff(*animated, (b"ANMF", frame)))
    yield "webp-animated-but-not", MalformedImage(riff(*animated))
    profile = riff(
        (b"VP8X", b"\x20\0\0\0" + small), (b"ICCP", b"\xff" * 4_000_000), (b"VP8 ", lossy)
    )
    yield "webp-profile-of-4-megabytes", MalformedImage(profile, "either")


# TIFF.


def tiff(fields: list[tuple[int, int, int, int]], following: int = 0, tail: bytes = b"") -> bytes:
    """A TIFF with one directory: tag, type, count and value of each field."""
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    return (
        struct.pack("<2sHIH", b"II", 42, 8, len(fields))
        + entries
        + struct.pack("<I", following)
        + tail
    )


def gray_fields(
    width: int, height: int, *more: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    size = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1)]
    strips = [(262, 3, 1, 1), (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, height)]
    fields = {
        field[0]: field
        for field in (*size, *strips, (279, 4, 1, min(width * height, 2**32 - 1)), *more)
    }
    return [fields[tag] for tag in sorted(fields)]


def tiffs() -> Iterator[tuple[str, MalformedImage]]:
    pixels = bytes(400)
    yield "tiff-2-to-31-square", too_large(tiff(gray_fields(2**31 - 1, 2**31 - 1), tail=pixels))
    yield "tiff-0-pixels", MalformedImage(tiff(gray_fields(0, 0), tail=pixels))
    yield (
        "tiff-directory-pointing-to-itself",
        MalformedImage(tiff(gray_fields(4, 4), following=8, tail=pixels), "either"),
    )
    yield (
        "tiff-directory-past-the-end",
        MalformedImage(tiff(gray_fields(4, 4), following=2**32 - 1, tail=pixels), "either"),
    )
    tiled = ((322, 4, 1, 2**30), (323, 4, 1, 2**30), (324, 4, 1, 200), (325, 4, 1, 16))
    yield (
        "tiff-tile-of-a-gigapixel-square",
        MalformedImage(tiff(gray_fields(4, 4, *tiled), tail=pixels)),
    )
    tiny = ((322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 2**31, 8), (325, 4, 2**31, 8))
    yield "tiff-2-to-31-tiles", MalformedImage(tiff(gray_fields(4096, 4096, *tiny), tail=pixels))
    strips = ((273, 4, 2**32 - 1, 8), (279, 4, 2**32 - 1, 8), (278, 4, 1, 1))
    yield "tiff-2-to-32-strips", MalformedImage(tiff(gray_fields(4, 4, *strips), tail=pixels))
    yield (
        "tiff-65535-samples",
        MalformedImage(tiff(gray_fields(4, 4, (277, 3, 1, 65_535)), tail=pixels)),
    )
    yield (
        "tiff-depth-of-64",
        MalformedImage(tiff(gray_fields(4, 4, (258, 3, 1, 64)), tail=pixels), "either"),
    )
    yield (
        "tiff-unknown-compression",
        MalformedImage(tiff(gray_fields(4, 4, (259, 3, 1, 31_337)), tail=pixels)),
    )
    yield (
        "tiff-text-of-4-gigabytes",
        MalformedImage(tiff(gray_fields(4, 4, (270, 2, 2**32 - 1, 8)), tail=pixels), "either"),
    )
    yield (
        "tiff-65535-fields",
        MalformedImage(b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 270, 2, 1, 0) * 65_535),
    )
    many = b"II*\0\x08\0\0\0"
    for at in range(4000):
        fields = gray_fields(4, 4, (273, 4, 1, 8))
        start = len(many) + 2 + 12 * len(fields) + 4
        many += struct.pack("<H", len(fields))
        many += b"".join(struct.pack("<HHII", *field) for field in fields)
        many += struct.pack("<I", start if at < 3999 else 0)
    yield "tiff-4000-pages", MalformedImage(many, "either")
    length = 65_535 * 12 + 6
    over = bytearray(b"\xff" * (length + 40_016))
    over[:8] = b"II*\0\x08\0\0\0"
    over[length + 4 : length + 40_004] = b"".join(
        struct.pack("<I", 12 + 4 * at) for at in range(10_000)
    )
    yield "tiff-10000-overlapping-directories", MalformedImage(bytes(over))
    bomb = zlib.compress(bytes(60_000_000), 9)
    yield (
        "tiff-deflate-bomb",
        MalformedImage(
            tiff(gray_fields(4, 4, (259, 3, 1, 8), (279, 4, 1, len(bomb))), tail=bytes(70) + bomb),
            "either",
        ),
    )
    yield "bigtiff", MalformedImage(b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63) + pixels)


# AVIF and HEIF: boxes in boxes.


def box(kind: bytes, data: bytes = b"", *, declared_size: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data) + 8 if declared_size is None else declared_size) + kind + data
    )


def avifs() -> Iterator[tuple[str, MalformedImage]]:
    brand = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    real = pictures.encode(pictures.scene(64, 48), "avif")
    yield "avif-brand-alone", MalformedImage(brand)
    nested = b""
    for _ in range(50_000):
        nested = box(b"meta", bytes(4) + nested) if len(nested) < 400_000 else nested
    yield "avif-boxes-in-boxes", MalformedImage(brand + nested)
    yield "avif-box-of-size-0", MalformedImage(brand + box(b"meta", declared_size=0))
    yield "avif-box-of-size-1", MalformedImage(brand + box(b"meta", declared_size=1) + b"\xff" * 8)
    yield (
        "avif-box-shorter-than-its-header",
        MalformedImage(brand + box(b"meta", declared_size=4) * 1000),
    )
    yield "avif-100000-boxes", MalformedImage(brand + box(b"free") * 100_000)
    yield "avif-500000-boxes", MalformedImage(brand + box(b"free") * 500_000)
    yield (
        "avif-brands-of-a-megabyte",
        MalformedImage(box(b"ftyp", b"avif\0\0\0\0" + b"avif" * 250_000)),
    )
    for name, at in (("ispe", 8), ("iloc", 8), ("iinf", 8), ("ipma", 8), ("av1C", 4)):
        start = real.index(name.encode()) + at
        yield (
            f"avif-{name}-full-of-ones",
            MalformedImage(real[:start] + b"\xff" * 8 + real[start + 8 :], "either"),
        )
    yield "avif-declared-as-heic", MalformedImage(real.replace(b"avif", b"heic"), "either")
    start = real.index(b"mdat") + 4
    yield "avif-empty-picture", MalformedImage(real[:start] + bytes(len(real) - start))


# BMP and ICO.


def bmps() -> Iterator[tuple[str, MalformedImage]]:
    def bmp(width: int, height: int, depth: int = 24, coding: int = 0, colors: int = 0) -> bytes:
        about = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, coding, 0, 0, 0, colors, 0)
        return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + about + bytes(200)

    yield "bmp-2-to-31-square", too_large(bmp(2**31 - 1, 2**31 - 1))
    yield "bmp-height-out-of-range", too_large(bmp(4, -(2**31)))
    yield "bmp-negative-width", MalformedImage(bmp(-4, 4))
    yield "bmp-0-pixels", MalformedImage(bmp(0, 0))
    yield "bmp-depth-of-255", MalformedImage(bmp(4, 4, 255))
    yield "bmp-2-to-32-colors", MalformedImage(bmp(4, 4, 8, colors=2**32 - 1), "either")
    yield "bmp-run-length-at-24-bits", MalformedImage(bmp(4, 4, 24, 1))
    yield "bmp-a-jpeg-inside", MalformedImage(bmp(4, 4, 0, 4))
    yield "bmp-truncated", MalformedImage(bmp(4000, 4000))
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 2**32 - 1, 22)
    yield "ico-picture-of-4-gigabytes", MalformedImage(b"\0\0\1\0\1\0" + entry + bytes(100))
    inner = png(head=ihdr(60_000, 60_000))
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22)
    yield "ico-with-a-giant-inside", MalformedImage(b"\0\0\1\0\1\0" + entry + inner)
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, 100, 0)
    yield "ico-containing-itself", MalformedImage(b"\0\0\1\0\1\0" + entry + bytes(100))
    yield "ico-65535-pictures", MalformedImage(b"\0\0\1\0\xff\xff" + entry * 65_535)


# Other file types, and unsupported image formats.


def others() -> Iterator[tuple[str, MalformedImage]]:
    yield "empty", MalformedImage(b"")
    yield "page", MalformedImage(b"<!doctype html><script>alert(1)</script>")
    yield "pdf", MalformedImage(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n")
    yield "ppm", MalformedImage(b"P6\n60000 60000\n255\n")
    yield "pfm", MalformedImage(b"PF\n60000 60000\n-1.0\n")
    yield "radiance", MalformedImage(b"#?RADIANCE\n\n-Y 60000 +X 60000\n")
    yield "fits", MalformedImage(b"SIMPLE  =                    T".ljust(2880))
    yield "openexr", MalformedImage(b"\x76\x2f\x31\x01\x02\0\0\0" + bytes(100))
    yield "vips", MalformedImage(b"\xb6\xa6\xf2\x08" + bytes(64))
    yield "matlab", MalformedImage(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM")
    yield "analyze", MalformedImage(struct.pack("<I", 348) + bytes(344))
    yield "jpeg-2000", MalformedImage(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60))
    yield "photoshop", MalformedImage(b"8BPS\0\1" + bytes(60))
    yield "xcf", MalformedImage(b"gimp xcf v011\0" + bytes(60))
    yield "magick-script", MalformedImage(b"push graphic-context\nimage over 0,0 0,0 'https://x'\n")
    yield "magick-picture", MalformedImage(b"id=ImageMagick\ncolumns=9 rows=9\n:\x1a")
    yield "postscript", MalformedImage(b"%!PS-Adobe-3.0\nquit\n")
    drawing = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    yield "svg", MalformedImage(drawing, "either")
    yield "svg-compressed", MalformedImage(b"\x1f\x8b\x08" + bytes(7) + zlib.compress(b"<svg/>"))
    entities = b"<!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'>]><svg>&a;</svg>"
    yield "svg-with-entities", MalformedImage(b"<?xml version='1.0'?>" + entities)
    yield "svg-only-start-tags", MalformedImage(b"<svg " * 600_000)
    yield (
        "svg-with-a-length-of-spaces",
        MalformedImage(b"<svg width='" + b" " * 1_000_000 + b"x'/>"),
    )
    yield "mp4", MalformedImage(box(b"ftyp", b"isom\0\0\0\0isommp42") + box(b"moov"))
    yield "zip", MalformedImage(b"PK\3\4" + bytes(60))
    yield "elf", MalformedImage(b"\x7fELF" + bytes(60))
    yield "pickle", MalformedImage(b"\x80\x04cos\nsystem\n(S'true'\ntR.")


def _all() -> Iterator[tuple[str, MalformedImage]]:
    for family in (pngs, jpegs, gifs, webps, tiffs, avifs, bmps, others):
        yield from family()


def files() -> dict[str, MalformedImage]:
    return dict(_all())


def with_private_metadata() -> bytes:
    """A JPEG with a GPS position, a camera, a note and a comment."""
    exif = Image.Exif()
    exif[0x010F] = "CAMERA-SECRET"
    exif[0x9286] = "NOTE-SECRET"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 29.5)
    data = io.BytesIO()
    Image.fromarray(pictures.scene(160, 120)).save(
        data, "jpeg", exif=exif, comment=b"REMARK-SECRET"
    )
    return data.getvalue()
