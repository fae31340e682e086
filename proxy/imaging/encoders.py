"""Encode pictures, one function per format. Metadata is removed except what `keep` names.

`proxy.imaging.encode` chooses format and quality, and calls `encode_as`. A new format needs an
encoder here and its line in `proxy.formats`.

Still JPEG and WebP are encoded by Pillow where possible: it writes the same pixels with the same
options. Its libjpeg-turbo takes about three quarters, its libwebp four fifths of the CPU time of
those in libvips (`bench/encoders.py`). AVIF is encoded by libvips, with 10 bits, but for graphics:
only Pillow's libavif looks for what is repeated in them, such as letters.
"""

import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import pyvips
from msgspec import structs
from PIL import Image

from proxy.errors import OperationNotApplicable
from proxy.formats import FormatName
from proxy.imaging.avif_effort import usual_effort
from proxy.imaging.avif_sequence import encode_sequence
from proxy.imaging.copyright.embed import embed, exif_bytes, xmp_bytes
from proxy.imaging.copyright.notice import CopyrightNotice
from proxy.imaging.encoder_options import Chroma, EncoderOptions
from proxy.imaging.flatness import MIN_FLATNESS, flatness, sample_bands
from proxy.imaging.gain_map import write_gain_map
from proxy.imaging.metadata import EXIF, XMP, get_field, set_fields, with_metadata
from proxy.imaging.optional_codecs import missing_package
from proxy.imaging.picture import Picture
from proxy.imaging.png_encoder import encode_png
from proxy.imaging.quantization import quantization_tables
from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS

DEFAULT_QUALITY: Mapping[FormatName, int] = {
    "jpeg": 80,
    "webp": 80,
    "avif": 63,
    "heif": 50,
    "jxl": 75,
}
"""docs/formats.md describes how these were chosen."""

Encoder = Callable[[pyvips.Image, int, int, EncoderOptions], bytes]
"""The file of an image whose frames have this height, at this quality."""

_KEEP_NONE, _KEEP_EXIF, _KEEP_XMP = 0, 1, 2  # libvips' flags for the metadata to keep

_PILLOW_MODES = {3: "RGB", 4: "RGBA"}

SUBSAMPLE_MODES: Mapping[Chroma | None, str] = {"420": "on", "444": "off", None: "auto"}
"""libvips' names."""

FULL_CHROMA_QUALITY = 90
"""From this quality on, JPEG chroma is not subsampled; libvips does the same automatically."""

_LOSSLESS_EFFORT = 75
"""For lossless WebP, quality is a second number for effort."""

_MAX_GRAPHIC_PIXELS, _GRAPHIC_EFFORT = 4_000_000, 2
"""With this effort graphics take 30 % fewer bytes than with libvips' effort 3, in half of its CPU
time. With less, nothing looks for what is repeated. Larger graphics would take several
seconds of a core."""

_GRAPHIC_LOSS, _LOW_EFFORT_LOSS = 0.85, 0.975
"""How far from 100 a quality is, relative to that of libvips' effort 3 at an equal look."""


def encode_as(
    picture: Picture,
    format: FormatName,
    quality: int,
    *,
    lossless: bool = False,
    encoders: Mapping[FormatName, Encoder] | None = None,
) -> bytes:
    """Encode the picture; ``quality`` is 1 to 100 for formats that have one.

    ``lossless`` matters for formats that can be both. ``encoders`` replace the usual ones.

    Raises OperationNotApplicable where there is no encoder.
    """
    usual = ENCODERS.get(format)
    encoder = usual if encoders is None else encoders.get(format, usual)
    options = structs.replace(picture.output.encoder(format), lossless=lossless)
    if encoder is None:
        raise OperationNotApplicable(
            f"there is no encoder for {format}; output formats: {', '.join(ENCODERS)}"
        )
    keeps_copyright = "copyright" in picture.output.keep_metadata
    notice = picture.copyright if keeps_copyright else CopyrightNotice()
    image = with_metadata(picture.image, exif=exif_bytes(notice), xmp=xmp_bytes(notice))
    if picture.animation is not None:
        image = set_fields(image, delays=picture.animation.delays, loop=picture.animation.loop)
    body = bytes(encoder(image, picture.frame_size.height, quality, options))
    body = embed(body, format, notice) if notice else body
    if picture.gain_map is not None and format == "jpeg":
        return write_gain_map(body, picture.gain_map, picture.frame_size)
    return body


def choose_coding(picture: Picture, format: FormatName) -> EncoderOptions:
    """The options, with what the encoder chooses by the size and the pixels of the picture.

    A part of a still picture is encoded with them as the whole is.
    """
    options = picture.output.encoder(format)
    if format == "webp":
        return structs.replace(options, effort=_webp_effort(picture.image, options))
    if format != "avif" or picture.animation is not None:
        return options
    image, is_graphic = _is_avif_graphic(picture.image, options)
    if is_graphic:
        return structs.replace(options, graphic=True)
    effort = usual_effort(image) if options.effort is None else options.effort
    return structs.replace(options, graphic=False, effort=effort)


def _encode_jpeg(
    image: pyvips.Image, _frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    # By `bench/efforts`: progressive saves 1 % of the bytes at 800 pixels and adds 2 % at 200, for
    # 1.7 and 1.3 times the CPU time.
    progressive = bool(options.progressive)
    chroma = options.chroma or ("444" if quality >= FULL_CHROMA_QUALITY else "420")
    pillow: dict[str, Any] = {"optimize": True, "progressive": progressive}
    if chroma == "420":
        pillow |= {"subsampling": "4:2:0", "qtables": quantization_tables(quality)}
    else:
        pillow |= {"subsampling": "4:4:4", "quality": quality}
    image, body = _encode_with_pillow(image, "JPEG", pillow)
    return body or image.jpegsave_buffer(
        Q=quality,
        optimize_coding=True,
        interlace=progressive,
        subsample_mode=SUBSAMPLE_MODES[chroma],
        keep=_KEEP_NONE,
    )


def _encode_webp(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    effort = _webp_effort(image, options)
    quality = _LOSSLESS_EFFORT if options.lossless else quality
    if image.height == frame_height:
        pillow = {"quality": quality, "method": effort, "lossless": options.lossless}
        image, body = _encode_with_pillow(image, "WEBP", pillow)
        if body:
            return body
    return image.webpsave_buffer(
        Q=quality,
        effort=effort,
        lossless=options.lossless,
        page_height=frame_height,
        keep=_KEEP_NONE,
    )


def _webp_effort(image: pyvips.Image, options: EncoderOptions) -> int:
    # By `bench/efforts`, at equal SSIMULACRA2: effort 2 makes 3 % more bytes than libvips' default
    # of 4 in 0.46 of its CPU time. Images with alpha are mostly graphics, which would grow by 14 %.
    # By `bench/auto.py`, lossless: effort 2 makes up to twice the bytes for text, 6 is much slower.
    usual = 4 if options.lossless or image.hasalpha() else 2
    return usual if options.effort is None else options.effort


def _encode_avif(
    image: pyvips.Image, frame_height: int, quality: int, options: EncoderOptions
) -> bytes:
    if image.height != frame_height:
        return encode_sequence(image, frame_height, quality, options)
    image, is_graphic = _is_avif_graphic(image, options)
    if is_graphic:
        graphic = {**_graphic_options(quality, options), **_pillow_metadata(image)}
        image, body = _encode_with_pillow(image, "AVIF", graphic)
        if body:
            return body
    effort = usual_effort(image) if options.effort is None else options.effort
    return image.heifsave_buffer(
        Q=quality if effort > 1 else _at_loss(quality, _LOW_EFFORT_LOSS),
        compression="av1",
        effort=effort,
        bitdepth=8 if options.lossless else 10,
        lossless=options.lossless,
        subsample_mode=SUBSAMPLE_MODES[options.chroma],
        keep=_kept_metadata(image),
    )


def _is_avif_graphic(image: pyvips.Image, options: EncoderOptions) -> tuple[pyvips.Image, bool]:
    """The image, in memory if it is not large, and whether it is encoded as a graphic."""
    if image.width * image.height > _MAX_GRAPHIC_PIXELS:
        return image, False
    image = image.copy_memory()  # pixels are read several times: to be measured and to be encoded
    if options.lossless or options.graphic is not None:
        return image, bool(options.graphic) and not options.lossless
    return image, flatness(sample_bands(image)) >= MIN_FLATNESS


def _graphic_options(quality: int, options: EncoderOptions) -> Mapping[str, Any]:
    chroma = options.chroma or ("444" if quality >= FULL_CHROMA_QUALITY else "420")
    return {
        "quality": _at_loss(quality, _GRAPHIC_LOSS),
        "speed": 9 - (_GRAPHIC_EFFORT if options.effort is None else options.effort),
        "subsampling": ":".join(chroma),
        "max_threads": 1,  # more save no CPU time
        "autotiling": False,
    }


def _at_loss(quality: int, loss: float) -> int:
    return round(100 - (100 - quality) * loss)


def _kept_metadata(image: pyvips.Image) -> int:
    """The flags for the metadata of the image; libvips would make EXIF where there is none."""
    keep = _KEEP_NONE if get_field(image, EXIF) is None else _KEEP_EXIF
    return keep | (_KEEP_NONE if get_field(image, XMP) is None else _KEEP_XMP)


def _encode_gif(
    image: pyvips.Image, frame_height: int, _quality: int, options: EncoderOptions
) -> bytes:
    return image.gifsave_buffer(
        effort=options.effort or 4,
        interlace=bool(options.progressive),
        page_height=frame_height,
        keep=_KEEP_NONE,
    )


def _encode_with_pillow(
    image: pyvips.Image, format: str, options: Mapping[str, Any]
) -> tuple[pyvips.Image, bytes | None]:
    """The image, in memory if its pixels were computed, and the file.

    The file is None where the image is too large for memory, and where Pillow fails: libvips then
    decides whether that is an error.
    """
    mode = _PILLOW_MODES.get(image.bands) if image.format == "uchar" else None
    size = image.width, image.height
    if mode is None or math.prod(size) > MAX_IN_MEMORY_PIXELS:
        return image, None
    pixels = image.write_to_memory()
    output = io.BytesIO()
    try:
        Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1).save(output, format, **options)
    except (OSError, ValueError):
        in_memory = pyvips.Image.new_from_memory(pixels, *size, image.bands, image.format)
        return in_memory.copy(interpretation=image.interpretation), None
    return image, output.getvalue()


def _pillow_metadata(image: pyvips.Image) -> dict[str, Any]:
    metadata = {"exif": get_field(image, EXIF), "xmp": get_field(image, XMP)}
    return {name: value for name, value in metadata.items() if value is not None}


def _optional_encoder(format: FormatName) -> Encoder:
    def encode(
        image: pyvips.Image, _frame_height: int, quality: int, options: EncoderOptions
    ) -> bytes:
        if package := missing_package(format):
            raise OperationNotApplicable(f"encoding {format} needs {package} on the server")
        pillow: dict[str, Any] = {"quality": quality, **_pillow_metadata(image)}
        if options.lossless:
            pillow = {"lossless": True, **_pillow_metadata(image)}
        if options.effort is not None:
            pillow["effort"] = options.effort
        output = io.BytesIO()
        Image.fromarray(image.numpy()).save(output, format.upper(), **pillow)
        return output.getvalue()

    return encode


ENCODERS: Mapping[FormatName, Encoder] = {
    "jpeg": _encode_jpeg,
    "png": encode_png,
    "webp": _encode_webp,
    "avif": _encode_avif,
    "gif": _encode_gif,
    "heif": _optional_encoder("heif"),
    "jxl": _optional_encoder("jxl"),
}
