"""The fold: bytes and a plan in, a rendition out. Pure; libvips' failures end here."""

from collections.abc import Callable, Mapping
from functools import partial

import pyvips
from msgspec import structs

from proxy.buffers import Buffer
from proxy.errors import ImageTooLarge
from proxy.imaging.cost_model import encoding
from proxy.imaging.decode import decode, opened
from proxy.imaging.encode import chosen, encode
from proxy.imaging.headers.strip import bare
from proxy.imaging.image import Eye, Picture, Rendered, Rendition, Seen, preview
from proxy.imaging.shrink_on_load import Raster, reduced_by
from proxy.imaging.vips_errors import translated
from proxy.limits import Limits
from proxy.operations.plan import Plan
from proxy.originals import SourceRef
from proxy.smartcrop.subject import Focus

_ROWS = 32
"""Rows that are computed together: few enough to be still in the processor's cache afterwards."""


def render(
    original: Buffer,
    plan: Plan,
    limits: Limits,
    *,
    eye: Eye,
    focus: Focus | None = None,
    also: Mapping[SourceRef, Buffer] | None = None,
    weigh: Callable[[float], None] = lambda _: None,
    raster: Raster | None = None,
) -> Rendered:
    """The original with every operation done, written in the format that was asked for.

    With a ``raster`` the original is what `reduce` made of it.
    ``focus`` is what an earlier render found in the same original; ``also`` holds the second
    images that the plan's operations name. ``weigh`` is told what writing will cost, in seconds,
    when that is known and little has been computed; what it raises is raised.

    Raises:
        ImageError: the original is no picture, is broken, or the plan cannot be done on it.
    """
    with translated():
        seconds = {
            address: decode(body, limits, eye=eye).image for address, body in (also or {}).items()
        }
        if raster is not None:
            picture = opened(original, raster, eye=eye, focus=focus)
        else:
            picture = decode(
                original,
                limits,
                eye=eye,
                focus=focus,
                needed=plan.needs,
                ends_in=plan.format,
                pages=plan.pages,
            )
        picture = structs.replace(picture.packaged(offer=plan.offer), also=seconds)
        for operation in plan:
            before = picture.image.width * picture.image.height
            picture = operation.apply(picture)
            if picture.image.width * picture.image.height > before:
                _check_result(picture, limits)
        _check_result(picture, limits)
        weigh(encoding(chosen(picture), picture.raster.pixels * picture.frames))
        rendition = _no_larger(encode(picture, limits), picture, original)
        return Rendered(rendition, picture.found)


def look(
    original: Buffer,
    limits: Limits,
    *,
    eye: Eye,
    focus: Focus | None = None,
    raster: Raster | None = None,
) -> Seen:
    """Where the eye goes in an original, and how large it is; nothing is rendered.

    Raises:
        ImageError: the original is no picture, or is broken.
    """
    with translated():
        if raster is not None:
            picture = opened(original, raster, eye=eye, focus=focus)
        else:
            picture = decode(original, limits, eye=eye, focus=focus, needed=preview, ends_in="auto")
        seen, known = picture.seen()
        return Seen(seen.natural, seen.frames, known)


def reduce(
    original: Buffer, factor: int, limits: Limits, *, eye: Eye, write: Callable[[Buffer], None]
) -> Raster:
    """A still original decoded for several plans, ``factor`` times smaller.

    Its pixels are handed to ``write``, from top to bottom.

    Raises:
        ImageError: the original is no picture, or is broken.
    """
    with translated():
        picture = decode(original, limits, eye=eye, needed=partial(reduced_by, factor))
        size = picture.raster
        rows = pyvips.Region.new(picture.image)
        for top in range(0, size.height, _ROWS):
            write(rows.fetch(0, top, size.width, min(_ROWS, size.height - top)))
        return Raster(
            size=size,
            bands=picture.image.bands,
            natural=picture.natural,
            format=picture.packaging.format,
            rights=picture.rights,
        )


def _no_larger(rendition: Rendition, picture: Picture, original: Buffer) -> Rendition:
    """The original's own coded pixels where nothing was changed and writing anew gained nothing."""
    if rendition.format != picture.own or picture.packaging.keep:
        return rendition
    own = bare(original, rendition.format)
    if own is None or len(own) >= len(rendition.body):
        return rendition
    return structs.replace(rendition, body=own)


def _check_result(picture: Picture, limits: Limits) -> None:
    """Sizes are known before pixels are: what is too large is never computed."""
    size = picture.raster
    if max(size.width, size.height) > limits.max_result_dimension:
        raise ImageTooLarge(f"a result of {size} has more than {limits.max_result_dimension} pixels a side")
    if size.pixels * picture.frames > limits.max_result_pixels:
        raise ImageTooLarge(f"a result of {size} has more than {limits.max_result_pixels} pixels")
