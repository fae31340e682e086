"""What a request is called in its answer and in the log."""

import re
from collections.abc import Mapping
from itertools import count
from os import register_at_fork
from secrets import token_hex

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class _Names:
    """A start that no other process has, and a number.

    To ask the kernel for chance each time would be a sixth of what a hit costs.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._start = token_hex(10)
        self._numbers = count()

    def new(self) -> str:
        return f"{self._start}{next(self._numbers):012x}"


_names = _Names()
register_at_fork(after_in_child=_names.begin)


def request_id(asked: Mapping[bytes, bytes]) -> str:
    """The name that somebody in front gave it, if it is harmless, else a new one."""
    given = asked.get(b"x-request-id")
    if given is not None and _GIVEN.fullmatch(given):
        return given.decode()
    return _names.new()
