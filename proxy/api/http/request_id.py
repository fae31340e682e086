"""Request ids: one value in the response, in the access log and in problem bodies."""

import re
from collections.abc import Mapping
from itertools import count
from os import register_at_fork
from secrets import token_hex

_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class _Generator:
    """A random prefix for each process, and a counter.

    To ask the kernel for random bytes each time would be a sixth of what a hit costs.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._prefix = token_hex(10)
        self._counter = count()

    def next(self) -> str:
        return f"{self._prefix}{next(self._counter):012x}"


_generator = _Generator()
register_at_fork(after_in_child=_generator.reset)


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return a harmless ``X-Request-ID`` that a proxy in front has set, else a new id."""
    given = headers.get(b"x-request-id")
    if given is not None and _ACCEPTED.fullmatch(given):
        return given.decode()
    return _generator.next()
