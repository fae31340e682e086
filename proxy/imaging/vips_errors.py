"""Translate what libvips raises into errors of the domain."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

from proxy.errors import BrokenImage, ImageTooLarge
from proxy.imaging import truncation

# Each library has words of its own for it; those of libaom and libwebp fit other failures to write
# as well, which are no more the original's fault.
_NO_MEMORY = re.compile(
    r"(insufficient|out of) memory|memory alloc|failed to allocate|error creating thread"
    r"|undefined AOM|av1_create|unable to encode",
    re.IGNORECASE,
)


@contextmanager
def translated() -> Iterator[None]:
    """What libvips says of a picture, in our words. Its pixels are read inside, or never."""
    truncation.forget()
    try:
        yield
    except (pyvips.Error, MemoryError) as error:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            message = "this takes more memory than one picture may have here"
            raise ImageTooLarge(message, detail=str(error)) from error
        raise BrokenImage("the original is damaged or cut short", detail=str(error)) from error
    if said := truncation.cut_short():
        raise BrokenImage("the original is damaged or cut short", detail=said)
