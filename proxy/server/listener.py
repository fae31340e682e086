"""The port that a server listens on: opened, and closed so that nobody who came is turned away."""

import ctypes
import socket
import struct

_BACKLOG = 2048

_SO_ATTACH_FILTER = 26
_NO_BEGINNINGS = (
    struct.pack("HBBI", 0x30, 0, 0, 13),  # load the byte of a TCP header that has the flags
    struct.pack("HBBI", 0x54, 0, 0, 0x12),  # of these SYN and ACK
    struct.pack("HBBI", 0x15, 0, 1, 0x02),  # if it is SYN alone
    struct.pack("HBBI", 0x06, 0, 0, 0),  # drop the packet
    struct.pack("HBBI", 0x06, 0, 0, 0xFFFF_FFFF),  # else keep it
)
"""A classic BPF program, as ``struct sock_filter`` of ``linux/filter.h``."""

_TCP_INFO_UNACKED = 24
_TCP_INFO_BYTES = 104
"""From ``struct tcp_info`` of ``linux/tcp.h``."""


def listen(host: str, port: int) -> socket.socket:
    """The port, open. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener


def let_nobody_in(listener: socket.socket) -> None:
    """Take no more connections, but leave in line who stands there.

    Closing alone would reset everybody in line. A filter that drops each packet that would begin a
    connection makes the port look as if it were gone; who tries again later finds that it is.
    Whoever had begun before gets into line, with the packets that follow.
    """
    instructions = ctypes.create_string_buffer(b"".join(_NO_BEGINNINGS))
    program = struct.pack("HxxxxxxP", len(_NO_BEGINNINGS), ctypes.addressof(instructions))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def in_line(listener: socket.socket) -> int:
    """How many have connected and were not let in by any worker yet."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    (waiting,) = struct.unpack_from("I", info, _TCP_INFO_UNACKED)  # has this meaning for listeners
    return int(waiting)
