"""Decode an original to a Picture, no larger than the plan needs and within the limits.

Rules: the bytes decide the decoder, not a name or a header. What the image header shows to be too
large is rejected before any codec runs. A truncated file is an error. Orientation is applied and
colors are 8-bit sRGB before an operation sees a pixel.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import pyvips
from msgspec import structs

from proxy.buffers import Buffer
from proxy.errors import BrokenImage, ImageTooLarge, NotAnImage, OperationNotApplicable
from proxy.formats import FORMATS, FormatName
from proxy.geometry import Size
from proxy.imaging.color_management import is_srgb, needs_profile, to_srgb, with_color_tags
from proxy.imaging.copyright.read import read_copyright
from proxy.imaging.decoders import DECODERS, DecodeOptions, turbo
from proxy.imaging.frames import default_format, shown_frames
from proxy.imaging.gain_map import GainMap, read_gain_map
from proxy.imaging.headers import ImageHeader, probe
from proxy.imaging.headers.color_tags import ColorTags, read_color_tags
from proxy.imaging.headers.repair import repair
from proxy.imaging.metadata import ORIENTATION, get_field, set_fields
from proxy.imaging.picture import Animation, Detector, OutputOptions, Picture, check_memory
from proxy.imaging.resize import shrink
from proxy.imaging.shrink_on_load import (
    JPEG_SHRINK_FACTORS,
    MAX_IN_MEMORY_PIXELS,
    DecodedInfo,
    LoadScale,
    SourceEncoding,
    shrink_factor,
)
from proxy.limits import Limits
from proxy.smartcrop.subject import Subject

_DEFAULT_DELAY = 100  # milliseconds, for frames whose file gives none


_COPIES: Mapping[FormatName, int] = {"avif": 2, "jxl": 2}
"""Decoders that need that many times the memory of others for a frame held as a whole."""


def _every_pixel(_natural: Size) -> None:
    return None


def decode(
    original: Buffer,
    limits: Limits,
    *,
    detector: Detector,
    header: ImageHeader | None = None,
    subject: Subject | None = None,
    required_size: Callable[[Size], Size | None] = _every_pixel,
    output_format: FormatName | Literal["auto"] | None = None,
    page_range: tuple[int, int] | None = None,
    keeps_hdr: bool = False,
) -> Picture:
    """Open an original; its pixels are computed later, while they are read.

    ``header`` is that of `probe` where it was read already. ``required_size`` maps the upright size
    to the smallest size that may be decoded, None for every pixel. ``output_format`` decides
    whether all frames of an animation are read; None is the original's own. ``page_range`` is the
    first and last frame or page, counted from 1. With ``keeps_hdr`` the picture has the original's
    gain map, if there is one.

    Raises:
        NotAnImage: the bytes are not an image of an accepted format.
        BrokenImage: the image header makes no sense.
        ImageTooLarge: naming the bound.
        OperationNotApplicable: the original has fewer pages.
    """
    header = header or probe(original)
    options = _decode_options(header, output_format, page_range)
    check_limits(header, len(memoryview(original)), limits, frames=options.frame_count)
    repaired = repair(original, header.format)
    options = structs.replace(options, is_repaired=repaired is not original)
    original = repaired
    # A JPEG is opened again for its pixels, by the decoder for its size.
    first_options = structs.replace(options, header_only=header.format == "jpeg")
    image = DECODERS[header.format](original, header, first_options)
    if color := _read_color_tags(original, header.format):
        image = with_color_tags(image, color)
    stored_size = Size(image.width, image.height // options.frame_count)
    if header.format != "svg":
        # Again, because the codec may understand the size in another way than the header probe.
        _check_size(stored_size, options.frame_count, header, limits)

    natural_size = _oriented_size(stored_size, image)
    if header.format == "svg":
        image = _rasterize(original, header, natural_size, required_size(natural_size), limits)
    copyright = read_copyright(original, header.format, image)
    animation = _read_animation(image, header, options)
    has_all_frames = options.frame_count == header.frames or not header.animated
    factor, step = shrink_factor(natural_size, required_size(natural_size)), 1
    if header.format == "jpeg":
        image, step = _shrink_jpeg_on_load(image, original, header, options, factor)
    if animation is None and (needs_profile(image) or _is_large(image)):
        # Applying a profile costs more than scaling, so pixels are averaged before it; and fewer
        # pixels fit into memory where an operation needs them all.
        image, step = shrink(image, factor // step), factor // step * step
    if _orientation(image) > 2:  # it is turned in memory
        check_memory(Size(image.width, image.height), limits.max_source_pixels_unstreamed)
    is_unmodified = has_all_frames and _is_unmodified(image, natural_size)
    return Picture(
        image=_drop_opaque_alpha(to_srgb(_autorotate(image)), animation),
        natural_size=natural_size,
        output=OutputOptions(default_format(header)),
        detector=detector,
        load_scale=LoadScale.oriented(step, _orientation(image)),
        subject=subject,
        animation=animation,
        max_pixels_in_memory=limits.max_source_pixels_unstreamed,
        unmodified_format=header.format if is_unmodified else None,
        copyright=copyright,
        gain_map=_read_gain_map(original, header, image, limits) if keeps_hdr else None,
        source=SourceEncoding(
            natural_size, header.lossless or not FORMATS[header.format].lossy, header.quality
        ),
    )


def _read_gain_map(
    original: Buffer, header: ImageHeader, picture: pyvips.Image, limits: Limits
) -> GainMap | None:
    """The gain map, scaled and turned as its picture is."""
    file = read_gain_map(original, header) if header.format == "jpeg" else None
    if file is None:
        return None
    inner = structs.replace(file.header, needs_full_frame=True)
    check_limits(inner, len(file.body), limits)
    # In memory, because its rows are read again for each file that is tried.
    image = DECODERS["jpeg"](file.body, inner, DecodeOptions()).copy_memory()
    scale, is_gray = image.width / header.width, image.bands == 1
    if is_gray:
        image = image.bandjoin(image).bandjoin(image).copy(interpretation="srgb")
    image = image.resize(
        picture.width / image.width, vscale=picture.height / image.height, kernel="linear"
    )
    image = _autorotate(set_fields(image, orientation=_orientation(picture)))
    return GainMap(image, scale, is_gray, file.fields)


def picture_from_pixels(
    pixels: Buffer, decoded: DecodedInfo, *, detector: Detector, subject: Subject | None = None
) -> Picture:
    """Open an original that was decoded before, for several plans."""
    size = decoded.size
    image = pyvips.Image.new_from_memory(
        memoryview(pixels), size.width, size.height, decoded.bands, "uchar"
    )
    return Picture(
        image=image.copy(interpretation="srgb"),
        natural_size=decoded.natural_size,
        output=OutputOptions(format=decoded.format),
        detector=detector,
        load_scale=decoded.load_scale,
        subject=subject,
        copyright=decoded.copyright,
        source=decoded.source,
    )


def check_limits(
    header: ImageHeader, size_in_bytes: int, limits: Limits, *, frames: int = 1
) -> None:
    """Reject by its header an original that exceeds a limit when ``frames`` frames are read.

    Raises:
        NotAnImage: the format is not accepted.
        ImageTooLarge: naming the bound.
    """
    if header.format not in limits.allow_source_formats:
        raise NotAnImage(
            f"{header.format} originals are not accepted; accepted formats: "
            f"{', '.join(limits.allow_source_formats)} (FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS)"
        )
    if header.scans > limits.max_jpeg_scans:
        raise ImageTooLarge(
            f"the original has more than {limits.max_jpeg_scans} scans "
            "(FRAMEKEEP_LIMITS_MAX_JPEG_SCANS)"
        )
    if frames > limits.max_frames:
        raise ImageTooLarge(
            f"the original has {frames} frames, more than {limits.max_frames} "
            "(FRAMEKEEP_LIMITS_MAX_FRAMES)"
        )
    if header.format == "svg":
        return  # the size at which it is rasterized is checked
    size = Size(header.width, header.height)
    _check_size(size, frames, header, limits)
    max_pixels = max(
        limits.max_source_pixels_unstreamed, size_in_bytes * limits.max_source_pixels_per_byte
    )
    if header.pixels > max_pixels:
        raise ImageTooLarge(
            f"the original is {size} in {size_in_bytes} bytes, more than "
            f"{limits.max_source_pixels_per_byte} pixels for each byte, like a decompression bomb "
            "(FRAMEKEEP_LIMITS_MAX_SOURCE_PIXELS_PER_BYTE)"
        )
    if header.pixels * header.scans > limits.max_jpeg_scan_pixels:
        raise ImageTooLarge(
            f"{header.scans} scans of {size} are more than {limits.max_jpeg_scan_pixels} pixels "
            "(FRAMEKEEP_LIMITS_MAX_JPEG_SCAN_PIXELS)"
        )


def _check_size(size: Size, frames: int, header: ImageHeader, limits: Limits) -> None:
    if max(size.width, size.height) > limits.max_source_dimension:
        raise ImageTooLarge(
            f"the original is {size}, more than {limits.max_source_dimension} pixels a side "
            "(FRAMEKEEP_LIMITS_MAX_SOURCE_DIMENSION)"
        )
    max_pixels, setting = limits.max_source_pixels, "FRAMEKEEP_LIMITS_MAX_SOURCE_PIXELS"
    reason = ""
    if header.needs_full_frame:
        copies = _COPIES.get(header.format, 1)
        max_pixels = limits.max_source_pixels_unstreamed // copies
        setting = "FRAMEKEEP_LIMITS_MAX_SOURCE_PIXELS_UNSTREAMED"
        reason = " and is decoded as a whole" + (f", in {copies} copies" if copies > 1 else "")
    if size.pixels > max_pixels:
        raise ImageTooLarge(
            f"the original is {size}{reason}, more than {max_pixels} pixels ({setting})"
        )
    if frames > 1 and size.pixels * frames > limits.max_source_pixels_all_frames:
        raise ImageTooLarge(
            f"{frames} frames of {size} are more than {limits.max_source_pixels_all_frames} pixels "
            "(FRAMEKEEP_LIMITS_MAX_SOURCE_PIXELS_ALL_FRAMES)"
        )


def _decode_options(
    header: ImageHeader, output_format: str | None, page_range: tuple[int, int] | None
) -> DecodeOptions:
    last = page_range[1] if page_range else 1
    if last > header.frames:
        raise OperationNotApplicable(
            f"the original has {header.frames} frames or pages; number {last} does not exist"
        )
    frames = shown_frames(header, output_format, page_range)
    return DecodeOptions(first_frame=frames.first - 1, frame_count=frames.count)


def _read_color_tags(original: Buffer, format: FormatName) -> ColorTags | None:
    try:
        return read_color_tags(original, format)
    except (IndexError, ValueError) as error:
        raise BrokenImage(f"the {format} header is damaged", detail=str(error)) from error


def _rasterize(
    original: Buffer, header: ImageHeader, natural: Size, required: Size | None, limits: Limits
) -> pyvips.Image:
    """Draw at the required size, or as large as the limits allow; without one at its own size."""
    scale = 1.0
    if required is not None:
        scale = min(
            max(required.width / natural.width, required.height / natural.height),
            math.sqrt(limits.max_source_pixels_unstreamed / natural.pixels),
            limits.max_source_dimension / max(natural.width, natural.height),
        )
    image = DECODERS[header.format](original, header, DecodeOptions(scale=scale))
    size = Size(image.width, image.height)
    if required is not None and max(_differences(size, required)) == 1:
        # Nobody sees a row or column that rounding added or left out, but resampling would blur.
        image = image.embed(0, 0, required.width, required.height, extend="copy")
    _check_size(Size(image.width, image.height), 1, header, limits)
    return image


def _differences(one: Size, other: Size) -> tuple[int, int]:
    return abs(one.width - other.width), abs(one.height - other.height)


def _shrink_jpeg_on_load(
    image: pyvips.Image,
    original: Buffer,
    header: ImageHeader,
    options: DecodeOptions,
    factor: int,
) -> tuple[pyvips.Image, int]:
    """The JPEG as small as its decoder can make it, and the factor by which that is smaller."""
    step = max(step for step in JPEG_SHRINK_FACTORS if step <= factor)
    decoded = turbo.decode_in_memory(original, image, step)
    if decoded is not None:
        return decoded, step
    # libvips leaves out the pixels at the right and bottom edge that fill no square.
    exact = max(
        divisor
        for divisor in JPEG_SHRINK_FACTORS
        if divisor <= step and header.width % divisor == header.height % divisor == 0
    )
    decoded = DECODERS[header.format](original, header, structs.replace(options, shrink=exact))
    return shrink(decoded, step // exact), step


def _read_animation(
    image: pyvips.Image, header: ImageHeader, options: DecodeOptions
) -> Animation | None:
    count = options.frame_count
    if count < 2:
        return None
    delays = get_field(image, "delay") or []
    if len(delays) == header.frames:  # libvips gives those of all frames
        delays = delays[options.first_frame :]
    delays = delays[:count]
    missing = count - len(delays)
    return Animation((*delays, *[_DEFAULT_DELAY] * missing), get_field(image, "loop") or 0)


def _drop_opaque_alpha(image: pyvips.Image, animation: Animation | None) -> pyvips.Image:
    """Remove an alpha channel that hides nothing from an animation.

    Most animated GIFs have one, since they mark unchanged pixels as transparent. Premultiplying and
    encoding it took a third of the time for such a file.
    """
    pixels = image.width * image.height
    if animation is None or not image.hasalpha() or pixels > MAX_IN_MEMORY_PIXELS:
        return image
    image = image.copy_memory()
    return image[:3].copy(interpretation="srgb") if image[3].min() == 255 else image


def _is_large(image: pyvips.Image) -> bool:
    return image.width * image.height > MAX_IN_MEMORY_PIXELS


def _orientation(image: pyvips.Image) -> int:
    return int(get_field(image, ORIENTATION) or 1)


def _is_unmodified(image: pyvips.Image, natural_size: Size) -> bool:
    """Whether the coded pixels are shown as they are: upright, in sRGB, at full size."""
    return is_srgb(image) and _orientation(image) == 1 and image.width == natural_size.width


def _oriented_size(stored: Size, image: pyvips.Image) -> Size:
    if _orientation(image) in (5, 6, 7, 8):
        return Size(stored.height, stored.width)
    return stored


def _autorotate(image: pyvips.Image) -> pyvips.Image:
    """Turn the image upright."""
    orientation = _orientation(image)
    if orientation == 1:
        return image
    if orientation != 2:  # all but the left-to-right mirror read rows in another order
        image = image.copy_memory()
    return image.autorot()
