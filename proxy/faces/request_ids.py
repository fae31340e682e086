"""What a request is called in its answer and in the log."""

import os
import re
from collections.abc import Mapping

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def request_id(asked: Mapping[bytes, bytes]) -> str:
    """The name that somebody in front gave it, if it is harmless, else a new one."""
    given = asked.get(b"x-request-id")
    if given is not None and _GIVEN.fullmatch(given):
        return given.decode()
    return os.urandom(16).hex()
