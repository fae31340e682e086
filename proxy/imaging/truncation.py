"""Detect truncated JPEGs by what their decoder logs.

libjpeg fills the rows that are missing from a file and reports it as a warning, among other
warnings that intact files cause too. Failing on every warning would reject intact files; ignoring
them would serve half a picture as a whole one. libjpeg reports only the first fault of a file, so
truncation after another fault goes unnoticed.

libvips collects these warnings in its error buffer. pyvips empties that buffer whenever it finds no
property of a name, and logs its content: so both are searched. The buffer belongs to the
process, so threads that compute pixels take turns (`exclusive`); for one picture libvips uses all
cores anyway.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.compat.pyvips import clear_errors, error_log, read_errors

_TRUNCATED = re.compile(r"premature end of data segment|found marker 0xd9 instead of RST")


class _ErrorLogFilter(logging.Filter):
    """Searches all records, and passes on those that the log level allows."""

    def __init__(self) -> None:
        super().__init__()
        self.error = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.search(record.getMessage())
        return error_log.parent is not None and error_log.parent.isEnabledFor(record.levelno)

    def search(self, message: str) -> None:
        if _TRUNCATED.search(message):
            self.error = message


_filter = _ErrorLogFilter()
error_log.addFilter(_filter)
error_log.setLevel(logging.DEBUG)


_turn = threading.RLock()


@contextmanager
def exclusive() -> Iterator[None]:
    """Let no other thread compute pixels meanwhile, and start without a report."""
    with _turn:
        clear_errors()
        _filter.error = ""
        yield


def reported_error() -> str:
    """The decoder's message about truncation, inside `exclusive`; empty if there was none."""
    _filter.search(read_errors())
    return _filter.error
