"""Header probes: read size, frames and scans from the structure of an original, without decoding.

One file per container. Each takes the whole original, mapped or in memory, walks its structure
without copying, and returns an ImageHeader or raises an error. All share one budget of steps and of
inflated bytes. No image library is used: limits are checked before any codec has seen a byte.
"""

from collections.abc import Callable

from proxy.buffers import Buffer
from proxy.errors import BrokenImage, NotAnImage
from proxy.formats import FORMATS, FormatName, sniff
from proxy.imaging.headers import bmp, gif, ico, isobmff, jpeg, jxl, png, svg, tiff, webp
from proxy.imaging.headers.header import ImageHeader, ProbeBudget

_READERS: dict[FormatName, Callable[[memoryview, ProbeBudget], ImageHeader]] = {
    "jpeg": jpeg.read_header,
    "png": png.read_header,
    "gif": gif.read_header,
    "jxl": jxl.read_header,
    "webp": webp.read_header,
    "avif": isobmff.read_header,
    "heif": isobmff.read_header,
    "tiff": tiff.read_header,
    "bmp": bmp.read_header,
    "ico": ico.read_header,
    "svg": svg.read_header,
}

__all__ = ["ImageHeader", "ProbeBudget", "probe"]


def probe(original: Buffer, budget: ProbeBudget | None = None) -> ImageHeader:
    """Read the header of an original; its first bytes decide the format.

    Without a ``budget`` it is the ordinary one.

    Raises:
        NotAnImage: the format is unknown.
        BrokenImage: the bytes start like a known format and are damaged.
        ImageTooLarge: to read the header would cost more than the budget.
    """
    with memoryview(original) as view:
        format = sniff(bytes(view[:1024]))
        if format is None:
            raise NotAnImage(
                f"the original is not an image; known image formats: {', '.join(FORMATS)}"
            )
        try:
            header = _READERS[format.name](view, budget or ProbeBudget(len(view)))
        except (IndexError, ValueError) as error:
            raise BrokenImage(f"the {format.name} header is damaged", detail=str(error)) from error
    if header.width < 1 or header.height < 1:
        raise BrokenImage(
            f"the {format.name} header is damaged",
            detail=f"size {header.width}x{header.height}",
        )
    return header
