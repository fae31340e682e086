"""A picture becomes a rendition: in the right format, within the bytes that were asked for."""

import math
from collections.abc import Mapping

from msgspec import structs

from proxy.errors import ImageTooLarge, OperationNotApplicable
from proxy.formats import FORMATS, Name
from proxy.geometry import Size, proportion
from proxy.imaging.encoders import QUALITY, saved
from proxy.imaging.image import Picture, Rendition
from proxy.imaging.resize import resized
from proxy.limits import Limits

_WHITE = [255.0, 255.0, 255.0]
_LONGEST_SIDE: Mapping[Name, int] = {"webp": 16_383, "avif": 16_384, "jpeg": 65_535, "gif": 65_535}

_LEAST_QUALITY = 10
_STEP = 0.9
"""How much smaller a side becomes at a time when quality alone does not make the file fit."""


def encode(picture: Picture, limits: Limits) -> Rendition:
    """The finished image.

    Raises:
        Impossible: the format cannot hold the picture, there is no encoder, or it does not fit
            into the bytes that were asked for even at one pixel.
        ImageTooLarge: the result has more bytes than the limits allow.
    """
    name = chosen(picture)
    picture = _fitting(picture, name)
    quality = _quality(picture, name)
    at_most = picture.packaging.max_bytes
    if at_most is None:
        body = saved(picture, name, quality)
    else:
        picture, body = _within(at_most, picture, name, quality)
    if len(body) > limits.max_result_bytes:
        raise ImageTooLarge(f"the result is more than {limits.max_result_bytes} bytes")
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


def _quality(picture: Picture, name: Name) -> int:
    """From 1 to 100, on the format's own scale; one for `auto` was meant on JPEG's."""
    usual, asked = QUALITY.get(name, 100), picture.packaging.quality
    if asked is None:
        return usual
    if picture.packaging.format == "auto" and name in QUALITY:
        return min(100, proportion(asked, usual, QUALITY["jpeg"]))
    return asked


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
        raise OperationNotApplicable(f"{name} holds at most {at_most} pixels a side")
    return picture


def _within(at_most: int, picture: Picture, name: Name, quality: int) -> tuple[Picture, bytes]:
    """The picture and its file of so many bytes: quality gives way first, then size."""
    picture = picture.settled()  # it is written more than once
    body = saved(picture, name, quality)
    if len(body) <= at_most:
        return picture, body
    least = min(quality, _LEAST_QUALITY) if FORMATS[name].lossy else quality
    if least < quality:
        body = saved(picture, name, least)
        if len(body) <= at_most:
            return picture, _best_quality(at_most, picture, name, least, quality) or body
    return _largest(at_most, picture, name, least, len(body))


def _best_quality(
    at_most: int, picture: Picture, name: Name, fits: int, too_much: int
) -> bytes | None:
    """The file of the best quality found between one that fits and one that does not."""
    best = None
    while too_much - fits > 1:
        middle = (fits + too_much) // 2
        body = saved(picture, name, middle)
        if len(body) <= at_most:
            fits, best = middle, body
        else:
            too_much = middle
    return best


def _largest(
    at_most: int, picture: Picture, name: Name, quality: int, bytes_now: int
) -> tuple[Picture, bytes]:
    """The largest picture on a ladder of sizes that fits, each a tenth less than the one before."""

    def attempt(step: int) -> tuple[Picture, bytes]:
        smaller = _smaller(picture, step)
        return smaller, saved(smaller, name, quality)

    # A file shrinks about as its area does, so the search begins near its end.
    first = max(1, math.floor(math.log(at_most / bytes_now) / math.log(_STEP) / 2))
    step, found = first, attempt(first)
    while len(found[1]) > at_most:
        if found[0].raster == Size(1, 1):
            raise OperationNotApplicable(f"not even one pixel of {name} fits into {at_most} bytes")
        step += 1
        found = attempt(step)
    while step == first and step > 1 and len((larger := attempt(step - 1))[1]) <= at_most:
        step, first, found = step - 1, first - 1, larger
    return found


def _smaller(picture: Picture, step: int) -> Picture:
    share = _STEP**step
    width, height = picture.raster.width, picture.raster.height
    size = Size(max(1, int(width * share)), max(1, int(height * share)))
    return resized(picture, size)
