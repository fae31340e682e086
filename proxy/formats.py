"""Image formats: names, features, and the first bytes that identify them."""

from typing import Literal

from msgspec import Struct

FormatName = Literal[
    "jpeg", "png", "webp", "avif", "heif", "gif", "tiff", "bmp", "ico", "jxl", "svg"
]


class Format(Struct, frozen=True):
    """What a format supports; ``web_safe`` if all current browsers show it."""

    name: FormatName
    media_type: str
    alpha: bool
    animated: bool
    lossy: bool
    web_safe: bool


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format("jpeg", "image/jpeg", alpha=False, animated=False, lossy=True, web_safe=True),
        Format("png", "image/png", alpha=True, animated=False, lossy=False, web_safe=True),
        Format("webp", "image/webp", alpha=True, animated=True, lossy=True, web_safe=True),
        Format("avif", "image/avif", alpha=True, animated=True, lossy=True, web_safe=True),
        Format("heif", "image/heif", alpha=True, animated=False, lossy=True, web_safe=False),
        Format("gif", "image/gif", alpha=True, animated=True, lossy=False, web_safe=True),
        Format("tiff", "image/tiff", alpha=True, animated=False, lossy=False, web_safe=False),
        Format("bmp", "image/bmp", alpha=True, animated=False, lossy=False, web_safe=False),
        Format("ico", "image/x-icon", alpha=True, animated=False, lossy=False, web_safe=False),
        Format("jxl", "image/jxl", alpha=True, animated=False, lossy=True, web_safe=False),
        Format("svg", "image/svg+xml", alpha=True, animated=False, lossy=False, web_safe=False),
    )
}

AUTO_FORMATS: tuple[FormatName, ...] = ("avif", "webp")
"""What `auto` gives beyond JPEG, PNG and GIF to clients that name it, best first, by default."""

_MAGIC: tuple[tuple[bytes, FormatName], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"BM", "bmp"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x00\x00\x01\x00", "ico"),
)

_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


def sniff(head: bytes) -> Format | None:
    """Identify the format by the first bytes: 64 of them, for SVG 1024. None if it is unknown.

    File names and Content-Type headers are never used. A JPEG may have other bytes before it.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return FORMATS[name]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FORMATS["webp"]
    if head[4:8] == b"ftyp":
        return _sniff_heif(head)
    if _is_svg(head):
        return FORMATS["svg"]
    return FORMATS["jpeg"] if find_jpeg(head) > 0 else None


_OTHER_FILES = (
    *(b"%PDF", b"%!PS", b"PK\x03\x04", b"8BPS", b"ID3", b"fLaC", b"OggS", b"RIFF", b"\x7fELF"),
    *(b"MZ", b"<", b"\x1a\x45\xdf\xa3", b"\xd0\xcf\x11\xe0"),
)
_MAX_JUNK_BYTES = 512


def find_jpeg(head: bytes) -> int:
    """Where a JPEG starts in the first bytes of a file; -1 if it is nowhere.

    Cameras, scripts and Flash leave up to some hundred bytes before it. A file of another kind may
    have a JPEG inside, as a cover or a preview, which is not the picture.
    """
    start = head.find(b"\xff\xd8\xff", 0, _MAX_JUNK_BYTES + 3)
    return -1 if start > 0 and head.startswith(_OTHER_FILES) else start


def _sniff_heif(head: bytes) -> Format | None:
    # ISO/IEC 14496-12: a major brand, a version, then compatible brands, four bytes each.
    box = head[: min(len(head), int.from_bytes(head[:4], "big"))]
    brands = [box[8:12], *(box[offset : offset + 4] for offset in range(16, len(box), 4))]
    if _AVIF_BRANDS.intersection(brands):
        return FORMATS["avif"]
    if _HEIF_BRANDS.intersection(brands):
        return FORMATS["heif"]
    return None


def _is_svg(head: bytes) -> bool:
    text = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg", b"<!--")) and b"<svg" in text
