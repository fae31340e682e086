"""Read the copyright notice of an original, from where its format keeps metadata."""

import logging
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import pyvips

from proxy.buffers import Buffer
from proxy.errors import ImageTooLarge
from proxy.formats import FormatName
from proxy.imaging.copyright.exif import read_exif
from proxy.imaging.copyright.iptc import read_iptc
from proxy.imaging.copyright.notice import (
    ARTIST,
    COPYRIGHT,
    MAX_TEXT_LENGTH,
    CopyrightNotice,
    decode_text,
)
from proxy.imaging.copyright.xmp import read_xmp
from proxy.imaging.headers import isobmff
from proxy.imaging.headers.header import ProbeBudget, read_int
from proxy.imaging.metadata import EXIF, IPTC, XMP, get_field

_Found = TypeVar("_Found")

log = logging.getLogger(__name__)

_TIFF_MAGIC = (b"II*\0", b"MM\0*")  # a BigTIFF has another structure
_PNG_KEYWORDS = {b"Author": ARTIST, b"Copyright": COPYRIGHT}
_GIF_XMP = re.compile(rb"\x21\xff\x0bXMP DataXMP(.*?)\x01\xff\xfe", re.DOTALL)


def read_copyright(original: Buffer, format: FormatName, image: pyvips.Image) -> CopyrightNotice:
    """The notice of the original that was opened as this image.

    A part that is damaged is left out and logged.
    """
    with memoryview(original) as view:
        exif_data = get_field(image, EXIF)
        is_tiff = format == "tiff" and bytes(view[:4]) in _TIFF_MAGIC
        exif = _read("EXIF", read_exif, view if is_tiff else exif_data) or {}
        if format == "png":
            exif = {**(_read("PNG text", _read_png_texts, view) or {}), **exif}
        xmp_data = get_field(image, XMP) or _read("XMP", partial(_find_xmp, format=format), view)
        xmp = _read("XMP", read_xmp, xmp_data)
    datasets, is_utf8 = _read("IPTC", read_iptc, get_field(image, IPTC)) or ((), False)
    return CopyrightNotice(exif, datasets, is_utf8, xmp or "")


def _read(kind: str, reader: Callable[[Buffer], _Found], data: Buffer | None) -> _Found | None:
    """None where there is nothing, or nothing that can be read."""
    if not data:
        return None
    try:
        return reader(data)
    except (ImageTooLarge, IndexError, ValueError) as error:
        log.info("copyright notice in %s is not readable: %s", kind, error)
        return None


def _find_xmp(original: Buffer, *, format: FormatName) -> bytes | None:
    """XMP that the decoder of the format does not give."""
    view = memoryview(original)
    if format == "gif":
        found = _GIF_XMP.search(view)
        return found[1] if found else None
    if format == "jxl" and bytes(view[4:8]) == b"JXL ":
        boxes = isobmff.boxes(view, ProbeBudget(len(view)))
        return next((bytes(view[start:end]) for name, start, end in boxes if name == b"xml "), None)
    return None


def _read_png_texts(data: Buffer) -> dict[int, str]:
    """The texts with the keywords Author and Copyright, as if they stood in EXIF."""
    texts: dict[int, str] = {}
    for name, chunk in _png_chunks(memoryview(data)):
        keyword, _, rest = chunk.partition(b"\0")
        tag = _PNG_KEYWORDS.get(keyword)
        if tag is not None and (text := _png_text(name, rest).strip(" \0")):
            texts.setdefault(tag, text[:MAX_TEXT_LENGTH])
    return texts


def _png_text(name: bytes, data: bytes) -> str:
    """The text in a chunk, after its keyword."""
    if name == b"tEXt":
        return data.decode("latin-1")
    if name == b"zTXt":
        return _inflate(data[1:]).decode("latin-1")
    is_compressed = data[:1] == b"\1"
    _, _, rest = data[2:].partition(b"\0")  # the language
    _, _, rest = rest.partition(b"\0")  # the translated keyword
    return decode_text(_inflate(rest) if is_compressed else rest)


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, 4 * MAX_TEXT_LENGTH)
    except zlib.error as error:
        raise ValueError(f"a compressed text: {error}") from error


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """The chunks with text, by name."""
    offset, budget = 8, ProbeBudget(len(view))
    while offset + 8 <= len(view):
        budget.count()
        length, name = read_int(view, ">I", offset), bytes(view[offset + 4 : offset + 8])
        if name == b"IEND":
            return
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            yield name, bytes(view[offset + 8 : offset + 8 + length])
        offset += 12 + length
