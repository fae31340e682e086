"""The listening socket, and a way to close it that resets no connection."""

import logging
import socket
import struct

logger = logging.getLogger("framekeep.server.listener")

_BACKLOG = 2048

_SO_BINDTOIFINDEX = 62
_NO_INTERFACE = 2**31 - 1
"""An interface index that does not exist."""

_TCP_INFO_UNACKED = 24
_TCP_INFO_BYTES = 104
"""From ``struct tcp_info`` of ``linux/tcp.h``."""


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


def stop_accepting(listener: socket.socket) -> None:
    """Refuse new connections, but keep those in the backlog and those in the TCP handshake.

    To close the socket instead would reset all of them, with the requests that clients have sent
    on them already. A listening socket that is bound to an interface without traffic gets no SYN
    any more, so the kernel refuses new connections as if the port were closed, while handshakes
    that have begun are completed into the backlog. Needs no privilege since Linux 5.7.
    """
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
    except OSError as error:
        logger.warning("new connections cannot be refused before the port is closed: %s", error)


def backlog_length(listener: socket.socket) -> int:
    """The number of connections that no worker has accepted yet."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    (waiting,) = struct.unpack_from("I", info, _TCP_INFO_UNACKED)  # for listeners: the backlog
    return int(waiting)
