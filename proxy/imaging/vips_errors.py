"""Translate what libvips raises into the errors of `proxy.errors`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyvips

from proxy.errors import BrokenImage, ImageTooLarge
from proxy.imaging import truncation

# Every codec words it differently. Those of libaom and libwebp also stand for other failures to
# encode, which are not the original's fault either.
_OUT_OF_MEMORY = re.compile(
    r"(insufficient|out of) memory|memory alloc|failed to allocate|error creating thread"
    r"|undefined AOM|av1_create|unable to encode",
    re.IGNORECASE,
)


@contextmanager
def translate_vips_errors() -> Iterator[None]:
    """Translate errors, and raise BrokenImage for a truncated JPEG. Threads take turns.

    Pixels are computed lazily: they must be read inside this context.
    """
    with truncation.exclusive():
        try:
            yield
        except (pyvips.Error, MemoryError) as error:
            if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
                raise ImageTooLarge(
                    "the picture needs more memory than a render process has "
                    "(FRAMEKEEP_RENDER_MAX_MEMORY_BYTES)",
                    detail=str(error),
                ) from error
            raise BrokenImage("the original is damaged or truncated", detail=str(error)) from error
        if reported := truncation.reported_error():
            raise BrokenImage("the original is damaged or truncated", detail=reported)
