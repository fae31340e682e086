"""What decoders say aside: that a JPEG ended too soon, and that they made up the rest.

libjpeg fills the rows that a header promises and its file does not have, and mentions it among
other things that are said of whole files too. To be strict about all of them would refuse honest
files; to be deaf to this one would pass half a picture off as a whole one. It mentions no more than
the first fault of a file: one with another before its end is not found out.

libvips puts it into its error buffer. pyvips empties that whenever it looks for an operation by its
name, and logs what was in it: both are listened to. The buffer is the process's, so one picture is
read at a time where this is to be exact, as in render processes.
"""

import logging
import re

import pyvips

_CUT_SHORT = re.compile(r"premature end of data segment|found marker 0xd9 instead of RST")
_LOG = logging.getLogger("pyvips.error")


class _Ear(logging.Filter):
    """Hears what is logged, and lets pass what would be without it."""

    def __init__(self) -> None:
        super().__init__()
        self.cut_short = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.hear(record.getMessage())
        return _LOG.parent is not None and _LOG.parent.isEnabledFor(record.levelno)

    def hear(self, said: str) -> None:
        if _CUT_SHORT.search(said):
            self.cut_short = said


_ear = _Ear()
_LOG.addFilter(_ear)
_LOG.setLevel(logging.DEBUG)


def forget() -> None:
    """What was said so far was of another picture."""
    pyvips.vips_lib.vips_error_clear()
    _ear.cut_short = ""


def cut_short() -> str:
    """What was said of a picture that ended too soon, if anything was since it was forgotten."""
    _ear.hear(pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace"))
    return _ear.cut_short
