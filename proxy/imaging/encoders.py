"""Pictures as files, one function per format. Metadata is dropped but for what was asked for.

Still JPEG and WebP go through Pillow where they can: it writes the same pictures with the same
options, its libjpeg-turbo in about three quarters and its libwebp in four fifths of the CPU time
of those that come with libvips (`bench/encoders.py`).
"""

import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import pyvips
from PIL import Image

from proxy.errors import OperationNotApplicable
from proxy.formats import Name
from proxy.imaging.image import Picture
from proxy.imaging.metadata import RIGHTS, claimed, tell, told
from proxy.imaging.optional_codecs import missing
from proxy.imaging.png_palette import grey, indexed
from proxy.imaging.shrink_on_load import HELD_AT_MOST

QUALITY: Mapping[Name, int] = {"jpeg": 80, "webp": 80, "avif": 63, "heif": 50, "jxl": 75}
"""What is meant where nobody says a quality; see docs/formats.md for how they were chosen."""

_NOTHING, _EXIF = 0, 1
"""What libvips is told to keep of an image's metadata."""

_MODES = {3: "RGB", 4: "RGBA"}

_WHOLE_CHROMA = 90
"""The quality from which on JPEGs keep all of their chroma, as libvips does by itself."""

_AVIF_EFFORT = ((1_500_000, 3), (6_000_000, 2), (12_000_000, 1), (math.inf, 0))
"""Pixels, and the effort that they are worth: none takes more than a few seconds of a core."""

_PAETH = 0x80
"""The filter that does best on photographs; trying all of them gains nothing."""


def saved(picture: Picture, name: Name, quality: int) -> bytes:
    """The picture as a file of that format; ``quality`` from 1 to 100 where the format has one.

    Raises Impossible where there is no encoder.
    """
    saver = _SAVERS.get(name)
    if saver is None:
        raise OperationNotApplicable(f"there is no {name} encoder on this server")
    rights = picture.rights if "copyright" in picture.packaging.keep else {}
    image = claimed(picture.image, rights) if rights else picture.image
    if picture.animation is not None:
        image = tell(image, delays=picture.animation.delays, loop=picture.animation.loop)
    return bytes(saver(image, picture.raster.height, quality, _EXIF if rights else _NOTHING))


def _jpeg(image: pyvips.Image, _height: int, quality: int, keep: int) -> bytes:
    # By `bench/efforts`: progressive is 1 % fewer bytes at 800 pixels and 2 % more at 200, for 1.7
    # and 1.3 times the CPU.
    chroma = "4:4:4" if quality >= _WHOLE_CHROMA else "4:2:0"
    options = {"quality": quality, "optimize": True, "subsampling": chroma}
    image, written = _by_pillow(image, "JPEG", keep, options)
    return written or image.jpegsave_buffer(Q=quality, optimize_coding=True, keep=keep)


def _png(image: pyvips.Image, _height: int, _quality: int, keep: int) -> bytes:
    image = image.copy_memory()  # colours are counted, then pixels are written
    if keep == _NOTHING and (few := indexed(image)):
        return few
    return grey(image).pngsave_buffer(compression=6, filter=_PAETH, keep=keep)


def _webp(image: pyvips.Image, height: int, quality: int, keep: int) -> bytes:
    # By `bench/efforts`, at equal SSIMULACRA2: effort 2 is 3 % more bytes than libvips' effort 4
    # for 0.46 of its CPU. What has alpha is drawn more often than not, and 14 % were lost there.
    effort = 4 if image.hasalpha() else 2
    if image.height == height:
        options = {"quality": quality, "method": effort}
        image, written = _by_pillow(image, "WEBP", keep, options)
        if written:
            return written
    return image.webpsave_buffer(Q=quality, effort=effort, page_height=height, keep=keep)


def _avif(image: pyvips.Image, _height: int, quality: int, keep: int) -> bytes:
    effort = next(effort for most, effort in _AVIF_EFFORT if image.width * image.height <= most)
    # By `bench/efforts`, at equal SSIMULACRA2: effort 3 with 10 bits is 3 % more bytes than
    # libvips' effort 4 for 0.28 of its CPU; with 8 bits it is 7 % more for 0.22.
    return image.heifsave_buffer(
        Q=quality, compression="av1", effort=effort, bitdepth=10, keep=keep
    )


def _gif(image: pyvips.Image, height: int, _quality: int, _keep: int) -> bytes:
    return image.gifsave_buffer(effort=4, page_height=height, keep=_NOTHING)


def _by_pillow(
    image: pyvips.Image, form: str, keep: int, options: Mapping[str, Any]
) -> tuple[pyvips.Image, bytes | None]:
    """The picture, from here on in memory where it fits, and its file.

    There is none where it does not fit, where something is to be kept that Pillow says otherwise,
    and where Pillow fails: what libvips then says of it counts.
    """
    mode = _MODES.get(image.bands) if image.format == "uchar" else None
    size = image.width, image.height
    if keep != _NOTHING or mode is None or math.prod(size) > HELD_AT_MOST:
        return image, None
    rows = image.write_to_memory()
    kept = io.BytesIO()
    try:
        Image.frombuffer(mode, size, rows, "raw", mode, 0, 1).save(kept, form, **options)
    except (OSError, ValueError):
        whole = pyvips.Image.new_from_memory(rows, *size, image.bands, image.format)
        return whole.copy(interpretation=image.interpretation), None
    return image, kept.getvalue()


def _by_extra(form: Name) -> Callable[[pyvips.Image, int, int, int], bytes]:
    def save(image: pyvips.Image, _height: int, quality: int, keep: int) -> bytes:
        if needed := missing(form):
            raise OperationNotApplicable(f"writing {form} needs {needed} on the server")
        options: dict[str, Any] = {"quality": quality}
        if keep == _EXIF:
            exif = Image.Exif()
            exif.update({tag: text for tag, name in RIGHTS.items() if (text := told(image, name))})
            options["exif"] = exif.tobytes()
        kept = io.BytesIO()
        Image.fromarray(image.numpy()).save(kept, form.upper(), **options)
        return kept.getvalue()

    return save


_SAVERS: Mapping[Name, Callable[[pyvips.Image, int, int, int], bytes]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "gif": _gif,
    "heif": _by_extra("heif"),
    "jxl": _by_extra("jxl"),
}
