"""How many connections a worker keeps open, and which it closes to make room for others.

A new connection is never refused while an old one only waits. Of those that wait for a request the
one that waits longest is closed, as nginx does it. So silent connections keep nobody out. While all
connections are busy, requests on new ones are answered with 503, and there is a reserve for health
checks.
"""

import heapq
import resource
from collections.abc import Collection
from typing import Protocol

from proxy.server.accept_balance import AcceptBalance

_RESERVE = 64
"""Connections above the limit, on which health checks are answered, and other requests with 503."""

_SHARE = 64
"""One of this many is closed at a time, as the search looks at all of them."""

RESERVED_DESCRIPTORS = 512
"""File descriptors of a worker for what is not a connection: files, sources, render processes."""


class Connection(Protocol):
    """``waiting_since`` is the time of the loop, None while it does not wait for a request."""

    @property
    def waiting_since(self) -> float | None: ...
    def close_waiting(self) -> None: ...


def connections_within(descriptors: int, max_connections: int) -> int:
    """Return how many connections a process with that many file descriptors may keep open.

    ``descriptors`` is a limit of the kernel, which may be `resource.RLIM_INFINITY`.
    """
    if descriptors == resource.RLIM_INFINITY:
        return max_connections
    return min(max_connections, descriptors - min(RESERVED_DESCRIPTORS, descriptors // 2))


class ConnectionLimit:
    def __init__(
        self,
        max_connections: int | None = None,
        reserved_paths: Collection[bytes] = (),
        balance: AcceptBalance | None = None,
    ) -> None:
        """None: there is no limit. ``reserved_paths`` are those of health checks."""
        self._balance = balance
        self._max = max_connections
        self._reserved = frozenset(reserved_paths)
        self._open: set[Connection] = set()

    def opened(self, connection: Connection) -> None:
        """Count a new connection; close others that wait, or this one, if there are too many."""
        self._open.add(connection)
        if self._balance is not None:
            self._balance.opened(len(self._open))
        if self._max is None or len(self._open) <= self._max:
            return
        since = ((other.waiting_since, other) for other in self._open if other is not connection)
        waiting = ((time, id(other), other) for time, other in since if time is not None)
        for _, _, other in heapq.nsmallest(1 + self._max // _SHARE, waiting):
            self._close(other)
        if len(self._open) > self._max + _RESERVE:
            self._close(connection)

    def closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._balance is not None:
            self._balance.closed(len(self._open))

    def allows(self, target: bytes, running_requests: int) -> bool:
        """Return whether a request for this target may be answered by the app."""
        limit = self._max
        if limit is None or (len(self._open) <= limit and running_requests <= limit):
            return True
        return target.partition(b"?")[0] in self._reserved

    def _close(self, connection: Connection) -> None:
        self._open.discard(connection)  # now: the event loop reports it later
        connection.close_waiting()
