"""A picture becomes a rendition: pixels are computed here, and written in the format asked for."""

from collections.abc import Callable, Mapping

import pyvips
from msgspec import structs

from proxy.errors import ImageTooLarge, Impossible
from proxy.formats import FORMATS, Name
from proxy.limits import Limits
from proxy.metadata import tell
from proxy.picture import Packaging, Picture, Rendition

_WHITE = [255.0, 255.0, 255.0]
_NOTHING = 0  # of the metadata is kept
_QUALITY: Mapping[str, int] = {"jpeg": 80, "webp": 80, "avif": 50, "heif": 50}
_LONGEST_SIDE: Mapping[str, int] = {"webp": 16_383, "avif": 16_384, "jpeg": 65_535, "gif": 65_535}


def encode(picture: Picture, limits: Limits) -> Rendition:
    """The finished image.

    Raises:
        Impossible: the format cannot hold a picture of that size, or there is no encoder.
        ImageTooLarge: the result has more bytes than the limits allow.
    """
    name = chosen(picture)
    picture = _fitting(picture, name)
    body = _SAVERS[name](picture, picture.packaging)
    if len(body) > limits.result_bytes:
        raise ImageTooLarge(f"the result is more than {limits.result_bytes} bytes")
    return Rendition(body=body, format=name, size=picture.raster, decided=picture.decided)


def chosen(picture: Picture) -> Name:
    """The format that the packaging means for this very picture."""
    asked = picture.packaging.format
    if asked != "auto":
        return asked
    for name in picture.packaging.offer:
        if picture.frames == 1 or FORMATS[name].animated:
            return name
    if picture.frames > 1:
        return "gif"
    return "png" if picture.image.hasalpha() else "jpeg"


def _fitting(picture: Picture, name: Name) -> Picture:
    """The picture as the format can hold it."""
    if picture.animation is not None and not FORMATS[name].animated:
        height = picture.raster.height
        first = picture.image.crop(0, 0, picture.image.width, height)
        picture = structs.replace(picture, image=first, animation=None)
    if picture.image.hasalpha() and not FORMATS[name].alpha:
        picture = picture.recoloured(picture.image.flatten(background=_WHITE))
    at_most = _LONGEST_SIDE.get(name)
    if at_most is not None and max(picture.raster.width, picture.raster.height) > at_most:
        raise Impossible(f"{name} holds at most {at_most} pixels a side")
    return picture


def _quality(packaging: Packaging, name: Name) -> int:
    return packaging.quality or _QUALITY[name]


def _jpeg(picture: Picture, packaging: Packaging) -> bytes:
    # subsample_mode "auto" is 4:2:0 below quality 90 and 4:4:4 from there on
    return bytes(
        picture.image.jpegsave_buffer(
            Q=_quality(packaging, "jpeg"), interlace=True, optimize_coding=True, keep=_NOTHING
        )
    )


def _png(picture: Picture, _packaging: Packaging) -> bytes:
    return bytes(picture.image.pngsave_buffer(compression=6, keep=_NOTHING))


def _webp(picture: Picture, packaging: Packaging) -> bytes:
    image = _with_timing(picture)
    return bytes(
        image.webpsave_buffer(
            Q=_quality(packaging, "webp"),
            effort=4,
            keep=_NOTHING,
            page_height=picture.raster.height,
        )
    )


def _avif(picture: Picture, packaging: Packaging) -> bytes:
    return bytes(
        picture.image.heifsave_buffer(
            Q=_quality(packaging, "avif"), compression="av1", effort=2, keep=_NOTHING
        )
    )


def _gif(picture: Picture, _packaging: Packaging) -> bytes:
    image = _with_timing(picture)
    return bytes(image.gifsave_buffer(effort=4, keep=_NOTHING, page_height=picture.raster.height))


def _no_encoder(_picture: Picture, packaging: Packaging) -> bytes:
    raise Impossible(f"there is no {packaging.format} encoder on this server")


def _with_timing(picture: Picture) -> pyvips.Image:
    """The image with what savers of animations look for."""
    if picture.animation is None:
        return picture.image
    return tell(picture.image, delays=picture.animation.delays, loop=picture.animation.loop)


_SAVERS: Mapping[Name, Callable[[Picture, Packaging], bytes]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "gif": _gif,
    "heif": _no_encoder,
}
