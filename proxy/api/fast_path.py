"""Hits are given where they arrive, at the wire: without a task, and without an app in between.

A scope, a cycle, a task and two messages, for an answer that lies ready, are half of what it costs
(`bench/run --scenario hit`). Here is decided whether one does; the protocol writes it. Who asks for
a part, brings a body, or asks for anything that is not at hand goes the long way. Both ways give
the same answers and count the same, and tests hold them against each other.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from proxy.api.http.accept import offer
from proxy.api.http.request_id import request_id
from proxy.api.images import GUARDS
from proxy.api.middleware import Observed
from proxy.api.response_cache import Recent, lines
from proxy.sources.net.via import came_from_us

_LONG = frozenset((b"range", b"content-length", b"transfer-encoding", b"upgrade"))
_GUARDS = lines(GUARDS)


class Given(NamedTuple):
    """An answer; ``fields`` are lines of its head, without those that every answer has."""

    status: int
    fields: bytes
    body: bytes


class AtHand:
    def __init__(
        self, recent: Recent, observed: Observed, *, now: Callable[[], float] = time.time
    ) -> None:
        """``recent`` is the images face's, and ``observed`` is around that face."""
        self._recent = recent
        self._observed = observed
        self._now = now

    def __call__(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> Given | None:
        """The answer to a request, which counts as given; None: the request goes the long way."""
        asked = dict(headers)
        if method not in (b"GET", b"HEAD") or not _LONG.isdisjoint(asked):
            return None
        via = asked.get(b"via")
        if via is not None and came_from_us(via.decode("latin-1")):
            return None
        ready = self._recent.get((target, offer(asked.get(b"accept", b""))))
        if ready is None or not ready.still():
            return None
        request = self._observed.begin()
        request.name = request_id(asked)
        request.source = ready.job.source
        request.tell("rendition", "hit")
        request.status, head, whole = ready.given(asked)
        body = whole if method == b"GET" else b""
        request.sent = len(body)
        own = (ready.age(self._now()), _GUARDS, request.name.encode())
        fields = b"%bage: %b\r\n%bx-request-id: %b\r\n" % (head.wire, *own)
        self._observed.end(request, method.decode())
        return Given(request.status, fields, body)
