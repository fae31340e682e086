"""How long to leave a receiver alone that does not answer."""

from collections import OrderedDict
from http import HTTPStatus

_FACTOR = 2.0
_MAX_PAUSE_SECONDS = 300.0
_MAX_RECEIVERS = 4096
"""Receivers that are remembered; the one that failed longest ago is forgotten first."""

_BUSY = frozenset((HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE))


class ReceiverBackoff:
    def __init__(self, first_pause_seconds: float) -> None:
        self._first_pause_seconds = first_pause_seconds
        self._failures: OrderedDict[str, int] = OrderedDict()

    def pause_after(self, receiver: str, status: int | None) -> float:
        """Return the pause in seconds after an attempt with this result; None: no answer came.

        It doubles with each failure in a row. An answer ends it, unless it says "not now".
        """
        if status is not None and status not in _BUSY:
            self._failures.pop(receiver, None)
            return 0.0
        failures = self._failures.pop(receiver, 0) + 1
        self._failures[receiver] = failures
        if len(self._failures) > _MAX_RECEIVERS:
            self._failures.popitem(last=False)
        return min(self._first_pause_seconds * _FACTOR ** min(failures - 1, 30), _MAX_PAUSE_SECONDS)
