"""Bytes on a socket, as no client library would send them."""

import asyncio
import re

import httpx2 as httpx


async def say(url: str, *parts: bytes, patience: float = 20.0) -> bytes:
    """All that comes back until the server hangs up; raises TimeoutError where it never does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        async with asyncio.timeout(patience):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def answers(said: bytes) -> list[int]:
    """The statuses of all answers in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


async def ask(url: str, link: bytes) -> httpx.Response:
    """The answer to exactly these bytes of a link."""
    said = await say(url, b"GET " + link + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    status, *headers = head.decode("latin-1").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in headers)]
    return httpx.Response(int(status.split()[1]), headers=pairs, content=body)
