"""A name server on loopback that answers as a test wants it, or not at all."""

import asyncio
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_HEADER = struct.Struct("!6H")
_ANSWER = struct.Struct("!3HIH4s")
_RESPONSE, _NO_SUCH_NAME, _SERVER_FAILED = 0x8180, 3, 2
_A = 1


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers with one IPv4 address for each of ``names``, and nothing for the ``mute`` domains.

    ``ttl`` is in seconds; ``questions`` counts those for IPv4 addresses.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    mute: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    ttl: int = 60
    questions: Counter[str] = field(default_factory=Counter)

    @property
    def address(self) -> str:
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, *_ = _HEADER.unpack_from(data)
        labels, at = [], _HEADER.size
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode().lower())
            at += length + 1
        question = data[_HEADER.size : at + 5]
        name, (kind,) = ".".join(labels), struct.unpack_from("!H", data, at + 1)
        if kind == _A:
            self.questions[name] += 1
        if name.endswith(self.mute):
            return
        address = self.names.get(name)
        flags = _RESPONSE | (0 if address else _NO_SUCH_NAME)
        if name.endswith(self.failing):
            flags = _RESPONSE | _SERVER_FAILED
        answer = b""
        if address and kind == _A:
            packed = bytes(map(int, address.split(".")))
            answer = _ANSWER.pack(0xC00C, _A, 1, self.ttl, 4, packed)
        header = _HEADER.pack(number, flags, 1, bool(answer), 0, 0)
        self._transport.sendto(header + question + answer, addr)
