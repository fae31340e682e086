"""Make files whole that browsers show and strict decoders reject, or show otherwise."""

from collections.abc import Callable, Mapping

from proxy.buffers import Buffer
from proxy.errors import BrokenImage
from proxy.formats import FormatName
from proxy.imaging.headers.jpeg_repair import repair_jpeg

_REPAIRS: Mapping[FormatName, Callable[[memoryview], bytes | None]] = {
    "jpeg": repair_jpeg,
}


def repair(original: Buffer, format: FormatName) -> Buffer:
    """The file as decoders need it, or the original itself where nothing has to change.

    Raises BrokenImage where its structure is damaged.
    """
    change = _REPAIRS.get(format)
    if change is None:
        return original
    with memoryview(original) as view:
        try:
            return change(view) or original
        except (IndexError, ValueError) as error:
            raise BrokenImage(f"the {format} header is damaged", detail=str(error)) from error
