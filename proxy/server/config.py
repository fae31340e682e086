"""What the supervisor and its HTTP workers agree on, and what an operator can set for them."""

import signal
from typing import Annotated

from msgspec import Meta, Struct

STOP, RETIRE, LEAVE = signal.SIGTERM, signal.SIGUSR2, signal.SIGINT
"""What a worker is told: no more requests should come; others have taken over; now go."""

BUSY, IDLE = b"b", b"i"
"""Signs of a worker's life: with connections, without."""

ENTERING_SECONDS = 2.0
"""How long a request may take to follow the connection that it comes on, when a worker leaves."""


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens, with how many processes, and how patient it is."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is every address of this machine."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """The port to listen on; 0 is any that is free."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """HTTP workers. They share one cache and the render processes of the machine."""

    max_connections: Annotated[int, Meta(ge=1, le=100_000)] = 4096
    """Most connections of one worker; one more is answered 503."""

    read_timeout_seconds: Annotated[float, Meta(ge=1, le=300)] = 15.0
    """Longest wait for a request's head, and for each 64 KiB of its body."""

    write_timeout_seconds: Annotated[float, Meta(ge=1, le=300)] = 30.0
    """Longest wait for a client to take 64 KiB of its answer."""

    keep_alive_seconds: Annotated[int, Meta(ge=1, le=3600)] = 75
    """How long an idle connection is kept open: longer than the proxy in front keeps it."""

    drain_seconds: Annotated[float, Meta(ge=0, le=300)] = 3.0
    """After SIGTERM, how long new requests are still taken while readiness is already red."""

    shutdown_timeout_seconds: Annotated[int, Meta(ge=1, le=300)] = 20
    """After that, how long requests in hand may still take."""

    worker_timeout_seconds: Annotated[float, Meta(ge=2, le=600)] = 20.0
    """A worker whose event loop has not turned for so long is ended and replaced."""
