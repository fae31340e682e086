"""Resolve a host name to numeric addresses."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

_THREADS = 16

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host name and a port to numeric addresses; raises OSError if there are none."""


class SystemResolver:
    """The system's resolver, on its own threads, so a name server that hangs blocks no others."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if host == "localhost" or host.endswith(".localhost"):
            return "::1", "127.0.0.1"  # these must not be sent to a name server (RFC 6761)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, _resolve, host, port)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _resolve(host: str, port: int) -> Sequence[str]:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except (
        UnicodeError
    ) as error:  # a host that `normalize_host` accepts but Python's codec does not
        raise OSError(errno.EINVAL, "invalid host name") from error
    return [
        f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])
        for *_, address in infos
    ]
