"""What an original's first bytes say about it: enough to refuse it, nothing decoded.

One file per container. Every reader takes the whole original, mapped or in memory, walks its
structure without copying, and either says what it found or raises BrokenImage. Nothing here knows
an image library: a picture is weighed before any codec has seen a byte of it.
"""

from collections.abc import Callable

from proxy.buffers import Buffer
from proxy.errors import BrokenImage, NotAnImage
from proxy.formats import Name, sniff
from proxy.imaging.headers import bmp, gif, ico, isobmff, jpeg, jxl, png, svg, tiff, webp
from proxy.imaging.headers.header import Header

READERS: dict[Name, Callable[[memoryview], Header]] = {
    "jpeg": jpeg.read,
    "png": png.read,
    "gif": gif.read,
    "jxl": jxl.read,
    "webp": webp.read,
    "avif": isobmff.read,
    "heif": isobmff.read,
    "tiff": tiff.read,
    "bmp": bmp.read,
    "ico": ico.read,
    "svg": svg.read,
}

__all__ = ["READERS", "Header", "probe"]


def probe(original: Buffer) -> Header:
    """What the original's own structure says about it.

    Raises:
        NotAnImage: the bytes are of no format known here.
        BrokenImage: they begin like one and make no sense as one.
    """
    with memoryview(original) as view:
        form = sniff(bytes(view[:1024]))
        if form is None:
            raise NotAnImage("the original is no picture of a format that is taken here")
        try:
            header = READERS[form.name](view)
        except (IndexError, ValueError) as error:
            raise BrokenImage(f"the {form.name} header is damaged", detail=str(error)) from error
    if header.width < 1 or header.height < 1:
        raise BrokenImage(f"the {form.name} header is damaged", detail="no extent")
    return header
