"""Bytes become a picture, no larger than the plan needs and never more than the limits allow.

Rules: the bytes decide the loader. What can be known from the header is refused from the header.
Half a file is an error. Orientation is applied and colours are 8-bit sRGB before any operation
sees a pixel.
"""

from collections.abc import Callable
from typing import Literal

import pyvips

from proxy.buffers import Buffer
from proxy.errors import ImageTooLarge, NotAnImage, OperationNotApplicable
from proxy.formats import FORMATS, Name
from proxy.geometry import Size
from proxy.imaging.color_management import is_srgb, needs_profile, srgb
from proxy.imaging.decoders import LOADERS, Wanted, turbo
from proxy.imaging.headers import Header, probe
from proxy.imaging.image import Animation, Eye, Packaging, Picture
from proxy.imaging.metadata import ORIENTATION, rights, told
from proxy.imaging.resize import shrunk
from proxy.imaging.shrink_on_load import HELD_AT_MOST, JPEG_STEPS, Raster, whole_factor
from proxy.limits import Limits
from proxy.smartcrop.subject import Focus

_DELAY = 100
"""Milliseconds a frame is shown where the file does not say."""


def _every_pixel(_natural: Size) -> None:
    return None


def decode(
    original: Buffer,
    limits: Limits,
    *,
    eye: Eye,
    focus: Focus | None = None,
    needed: Callable[[Size], Size | None] = _every_pixel,
    ends_in: Name | Literal["auto"] | None = None,
    pages: tuple[int, int] | None = None,
) -> Picture:
    """The picture in these bytes; its pixels are not computed yet.

    ``needed`` tells the least raster for an upright size, None for every pixel. ``ends_in`` is the
    format it will be written in, None for its own: it decides whether frames are read. ``pages``
    are the first and the last frame or page, from 1.

    Raises:
        NotAnImage: no picture, or of a format that is not taken in.
        BrokenImage: no sense can be made of the header.
        ImageTooLarge: naming the bound.
        Impossible: there is no such page.
    """
    header = probe(original)
    wanted = _wanted(header, ends_in or header.format, pages)
    check(header, limits, frames=wanted.count)
    load = LOADERS[header.format]
    image = load(original, header, wanted)
    animation = _animation(image, wanted.count)
    stored = Size(image.width, image.height // wanted.count)
    _check_size(stored, wanted.count, header, limits)  # the codec's own reading may differ
    natural = _upright(stored, image)

    factor = whole_factor(natural, needed(natural))
    told_rights = rights(image)
    if header.format == "jpeg":
        step = max(step for step in JPEG_STEPS if step <= factor)
        held = turbo.held(original, image, step)
        image = load(original, header, Wanted(shrink=step)) if held is None else held
        factor //= step
    if animation is None and needs_profile(image):
        # Profiles cost more than scaling: what is to be averaged anyway is averaged before them.
        image = shrunk(image, factor)
    complete = wanted.count == header.frames or not header.timed
    return Picture(
        image=_without_idle_alpha(srgb(_turned(image)), animation),
        natural=natural,
        packaging=Packaging(format=header.format if FORMATS[header.format].shown else "auto"),
        eye=eye,
        focus=focus,
        animation=animation,
        own=header.format if complete and _as_stored(image, natural) else None,
        rights=told_rights,
    )


def opened(pixels: Buffer, raster: Raster, *, eye: Eye, focus: Focus | None = None) -> Picture:
    """The picture that was decoded before."""
    size = raster.size
    image = pyvips.Image.new_from_memory(
        memoryview(pixels), size.width, size.height, raster.bands, "uchar"
    )
    return Picture(
        image=image.copy(interpretation="srgb"),
        natural=raster.natural,
        packaging=Packaging(format=raster.format),
        eye=eye,
        focus=focus,
        rights=raster.rights,
    )


def check(header: Header, limits: Limits, *, frames: int = 1) -> None:
    """Refuse what the header alone shows to be too much, when so many frames are to be read.

    Raises:
        NotAnImage: the format is not taken in.
        ImageTooLarge: naming the bound.
    """
    if header.format not in limits.allow_source_formats:
        raise NotAnImage(f"{header.format} originals are not taken here")
    if header.scans > limits.max_jpeg_scans:
        raise ImageTooLarge(f"the original has more than {limits.max_jpeg_scans} scans")
    if frames > limits.max_frames:
        raise ImageTooLarge(f"{frames} frames are more than {limits.max_frames}")
    _check_size(Size(header.width, header.height), frames, header, limits)
    if header.pixels * header.scans > limits.max_jpeg_scan_pixels:
        raise ImageTooLarge(f"{header.scans} scans are too many for an original of that size")


def _check_size(size: Size, frames: int, header: Header, limits: Limits) -> None:
    at_most = limits.max_source_pixels_unstreamed if header.held else limits.max_source_pixels
    if max(size.width, size.height) > limits.max_source_dimension:
        raise ImageTooLarge(f"a side of {size} is more than {limits.max_source_dimension} pixels")
    if size.pixels > at_most:
        raise ImageTooLarge(f"{size} is more than {at_most} pixels")
    if size.pixels * frames > limits.max_source_pixels_all_frames:
        raise ImageTooLarge(
            f"{frames} frames of {size} are more than {limits.max_source_pixels_all_frames} pixels"
        )


def _wanted(header: Header, ends_in: str, pages: tuple[int, int] | None) -> Wanted:
    first, last = pages or (1, header.frames if header.timed else 1)
    if last > header.frames:
        raise OperationNotApplicable(
            f"the original has {header.frames} frames or pages, not {last}"
        )
    moving = header.timed and (ends_in == "auto" or FORMATS[ends_in].animated)
    return Wanted(first=first - 1, count=last - first + 1 if moving else 1)


def _animation(image: pyvips.Image, frames: int) -> Animation | None:
    if frames < 2:
        return None
    delays = (told(image, "delay") or [])[:frames]
    return Animation((*delays, *[_DELAY] * (frames - len(delays))), told(image, "loop") or 0)


def _without_idle_alpha(image: pyvips.Image, animation: Animation | None) -> pyvips.Image:
    """The image without an alpha channel that hides nothing.

    Animated GIFs leave out what stays as it was by calling it transparent, so most have one: to
    weight colours by it and to write it took a third of what such a file cost.
    """
    pixels = image.width * image.height
    if animation is None or not image.hasalpha() or pixels > HELD_AT_MOST:
        return image
    image = image.copy_memory()
    return image[:3].copy(interpretation="srgb") if image[3].min() == 255 else image


def _orientation(image: pyvips.Image) -> int:
    return int(told(image, ORIENTATION) or 1)


def _as_stored(image: pyvips.Image, natural: Size) -> bool:
    """Whether nothing has to be done to the coded pixels before they are right."""
    return is_srgb(image) and _orientation(image) == 1 and image.width == natural.width


def _upright(stored: Size, image: pyvips.Image) -> Size:
    if _orientation(image) in (5, 6, 7, 8):
        return Size(stored.height, stored.width)
    return stored


def _turned(image: pyvips.Image) -> pyvips.Image:
    """The image upright. All turns but one begin elsewhere than at the top, so pixels settle."""
    orientation = _orientation(image)
    if orientation == 1:
        return image
    if orientation != 2:
        image = image.copy_memory()
    return image.autorot()
