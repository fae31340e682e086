"""Bytes on a socket, as no client library would send them."""

import asyncio
import re

import httpx2 as httpx


async def exchange(url: str, *parts: bytes, timeout_seconds: float = 100.0) -> bytes:
    """Send the parts and return what comes back until the server closes the connection.

    Raises TimeoutError when it stays open.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        async with asyncio.timeout(timeout_seconds):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status_codes(received: bytes) -> list[int]:
    """The status codes of all responses in what was received."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


async def get(url: str, link: bytes) -> httpx.Response:
    """The response to exactly these bytes of a link."""
    request = b"GET " + link + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    head, _, body = (await exchange(url, request)).partition(b"\r\n\r\n")
    status, *headers = head.decode("latin-1").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in headers)]
    return httpx.Response(int(status.split()[1]), headers=pairs, content=body)
