"""Pictures as files, one function per format. Metadata is dropped but for what was asked for."""

from collections.abc import Callable, Mapping

import pyvips

from proxy.errors import Impossible
from proxy.formats import Name
from proxy.metadata import claimed, tell
from proxy.palette import grey, indexed
from proxy.picture import Picture

QUALITY: Mapping[Name, int] = {"jpeg": 80, "webp": 80, "avif": 50, "heif": 50}
"""What is meant where nobody says a quality; see docs/formats.md for how they were chosen."""

_NOTHING, _EXIF = 0, 1
"""What libvips is told to keep of an image's metadata."""

_PAETH = 0x80
"""The filter that does best on photographs; trying all of them gains nothing."""


def saved(picture: Picture, name: Name, quality: int) -> bytes:
    """The picture as a file of that format; ``quality`` from 1 to 100 where the format has one.

    Raises Impossible where there is no encoder.
    """
    saver = _SAVERS.get(name)
    if saver is None:
        raise Impossible(f"there is no {name} encoder on this server")
    rights = picture.rights if "copyright" in picture.packaging.keep else {}
    image = claimed(picture.image, rights) if rights else picture.image
    if picture.animation is not None:
        image = tell(image, delays=picture.animation.delays, loop=picture.animation.loop)
    return bytes(saver(image, picture.raster.height, quality, _EXIF if rights else _NOTHING))


def _jpeg(image: pyvips.Image, _height: int, quality: int, keep: int) -> bytes:
    # Chroma is halved below quality 90 and kept from there on, which is what "auto" does.
    return image.jpegsave_buffer(Q=quality, interlace=True, optimize_coding=True, keep=keep)


def _png(image: pyvips.Image, _height: int, _quality: int, keep: int) -> bytes:
    image = image.copy_memory()  # colours are counted, then pixels are written
    if keep == _NOTHING and (few := indexed(image)):
        return few
    return grey(image).pngsave_buffer(compression=6, filter=_PAETH, keep=keep)


def _webp(image: pyvips.Image, height: int, quality: int, keep: int) -> bytes:
    return image.webpsave_buffer(Q=quality, effort=4, page_height=height, keep=keep)


def _avif(image: pyvips.Image, _height: int, quality: int, keep: int) -> bytes:
    return image.heifsave_buffer(Q=quality, compression="av1", effort=2, keep=keep)


def _gif(image: pyvips.Image, height: int, _quality: int, _keep: int) -> bytes:
    return image.gifsave_buffer(effort=4, page_height=height, keep=_NOTHING)


_SAVERS: Mapping[Name, Callable[[pyvips.Image, int, int, int], bytes]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "gif": _gif,
}
