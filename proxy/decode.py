"""Bytes become a picture, no larger than the plan needs and never more than the limits allow.

Rules: the bytes decide the loader, which is called by name; every other loader and saver of
libvips is blocked. What can be known from the header is refused from the header. Half a file is an
error. Orientation is applied and colours are 8-bit sRGB before any operation sees a pixel.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pyvips

from proxy.blob import Buffer
from proxy.containers import Header, probe
from proxy.errors import ImageTooLarge, NotAnImage
from proxy.focus.evidence import Focus
from proxy.formats import FORMATS, Name
from proxy.geometry import Size
from proxy.limits import Limits
from proxy.metadata import told
from proxy.picture import Animation, Eye, Packaging, Picture
from proxy.profiles import needs_profile, srgb
from proxy.scaling import shrunk

for _family in ("VipsForeignLoad", "VipsForeignSave"):
    pyvips.operation_block_set(_family, True)
for _codec in ("Jpeg", "Png", "Webp", "Heif", "Tiff", "Nsgif", "Svg"):
    pyvips.operation_block_set(f"VipsForeignLoad{_codec}Buffer", False)
for _codec in ("Jpeg", "Png", "Webp", "Heif", "Cgif"):
    pyvips.operation_block_set(f"VipsForeignSave{_codec}Buffer", False)

_LOADERS: Mapping[Name, Callable[..., pyvips.Image]] = {
    "jpeg": pyvips.Image.jpegload_buffer,
    "png": pyvips.Image.pngload_buffer,
    "webp": pyvips.Image.webpload_buffer,
    "avif": pyvips.Image.heifload_buffer,
    "heif": pyvips.Image.heifload_buffer,
    "gif": pyvips.Image.gifload_buffer,
    "tiff": pyvips.Image.tiffload_buffer,
    "svg": pyvips.Image.svgload_buffer,
}


def _every_pixel(_natural: Size) -> None:
    return None


_LEFT_TO_SCALE = 2
"""Loaders average squares, which is coarse: the last halving is left to Lanczos."""

_DELAY = 100
"""Milliseconds a frame is shown where the file does not say."""


def decode(
    original: Buffer,
    limits: Limits,
    *,
    eye: Eye,
    focus: Focus | None = None,
    needed: Callable[[Size], Size | None] = _every_pixel,
    moving: bool = False,
) -> Picture:
    """The picture in these bytes; its pixels are not computed yet.

    ``needed`` tells the least raster for an upright size, None for every pixel; ``moving`` keeps
    the frames of an animation.

    Raises:
        NotAnImage: no picture, or of a format that is not taken in.
        BrokenImage: no sense can be made of the header.
        ImageTooLarge: naming the bound.
    """
    header = probe(original)
    check(header, limits)
    animated = header.timed and moving
    image = _load(original, header, animated=animated)
    animation = _animation(image) if animated else None
    frames = len(animation.delays) if animation else 1
    natural = _upright(Size(image.width, image.height // frames), image)
    _check_size(natural, frames, header, limits)  # the codec's own reading may differ

    factor = _whole_factor(natural, needed(natural))
    if header.format == "jpeg" and factor > 1:
        at_load = max(step for step in (1, 2, 4, 8) if step <= factor)
        image = _load(original, header, animated=False, shrink=at_load)
        factor //= at_load
    if needs_profile(image) and animation is None:
        # Profiles cost more than scaling: what is to be averaged anyway is averaged before them.
        image = shrunk(image, factor)
    image = srgb(_turned(image))
    return Picture(
        image=image,
        natural=natural,
        packaging=Packaging(format=_own_format(header)),
        eye=eye,
        focus=focus,
        animation=animation,
    )


def check(header: Header, limits: Limits) -> None:
    """Refuse what the header alone shows to be too much.

    Raises:
        NotAnImage: the format is not taken in.
        ImageTooLarge: naming the bound.
    """
    if header.format not in limits.source_formats:
        raise NotAnImage(f"{header.format} originals are not taken here")
    if header.scans > limits.source_scans:
        raise ImageTooLarge(f"the original has more than {limits.source_scans} scans")
    if header.frames > limits.source_frames and header.format != "tiff":
        raise ImageTooLarge(
            f"the original has {header.frames} frames, more than {limits.source_frames}"
        )
    _check_size(Size(header.width, header.height), header.frames, header, limits)
    if header.work > limits.source_work:
        raise ImageTooLarge(f"{header.scans} scans are too many for an original of that size")


def _check_size(size: Size, frames: int, header: Header, limits: Limits) -> None:
    at_most = limits.source_pixels_held if header.held else limits.source_pixels
    if max(size.width, size.height) > limits.source_side:
        raise ImageTooLarge(f"a side of {size} is more than {limits.source_side} pixels")
    if size.pixels > at_most:
        raise ImageTooLarge(f"{size} is more than {at_most} pixels")
    if header.timed and size.pixels * frames > limits.source_pixels_total:
        raise ImageTooLarge(
            f"{frames} frames of {size} are more than {limits.source_pixels_total} pixels"
        )


def _load(original: Buffer, header: Header, *, animated: bool, **options: Any) -> pyvips.Image:
    if animated:
        options["n"] = -1
    loader = _LOADERS[header.format]
    return loader(original, access="sequential", fail_on="error", **options)


def _animation(image: pyvips.Image) -> Animation | None:
    frames = told(image, "n-pages") or 1
    if frames < 2:
        return None
    delays = (told(image, "delay") or [])[:frames]
    return Animation((*delays, *[_DELAY] * (frames - len(delays))), told(image, "loop") or 0)


def _orientation(image: pyvips.Image) -> int:
    return int(told(image, "orientation") or 1)


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


def _whole_factor(natural: Size, needed: Size | None) -> int:
    """How many times smaller, by whole numbers, the raster may be loaded."""
    if needed is None:
        return 1
    return max(
        1,
        min(
            natural.width // (needed.width * _LEFT_TO_SCALE),
            natural.height // (needed.height * _LEFT_TO_SCALE),
        ),
    )


def _own_format(header: Header) -> Any:
    """The source's format where browsers show it; jpeg, or png with alpha, for the rest."""
    return header.format if FORMATS[header.format].shown else "auto"
