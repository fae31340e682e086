"""Connections that hold everything and send nothing: others, and health checks, are answered."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from dev_server import DevServer, dev_server

pytestmark = pytest.mark.anyio

LIMIT = 16
LINK = "/_/resize:10:10/demo:beach.jpg"
HEALTH = "/health/live"
UPLOAD = (
    b"POST /vision/v3.2/areaOfInterest HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n"
)


@asynccontextmanager
async def connections(server: DevServer, count: int, sent: bytes) -> AsyncIterator[None]:
    """That many connections, on each of which these bytes were sent."""
    port = int(re.findall(r":(\d+)", server.startup_message)[0])
    async with AsyncExitStack() as stack:
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(sent)
            await writer.drain()
        yield


@pytest.mark.parametrize("sent", [b"", b"GET /", b"GET / HTTP/1.1\r\nX: "])
async def test_silent_connections_keep_nobody_out(tmp_path: Path, sent: bytes) -> None:
    limit = {"FRAMEKEEP_SERVER_MAX_CONNECTIONS": str(LIMIT)}
    async with (
        dev_server(tmp_path, environment=limit) as server,
        connections(server, LIMIT * 10, sent),
    ):
        assert (await server.get(HEALTH)).status_code == 200
        assert (await server.get(LINK)).status_code == 200


async def test_health_checks_are_answered_while_all_connections_are_busy(tmp_path: Path) -> None:
    limit = {"FRAMEKEEP_SERVER_MAX_CONNECTIONS": str(LIMIT)}
    async with (
        dev_server(tmp_path, environment=limit) as server,
        connections(server, LIMIT, UPLOAD),
    ):
        assert (await server.get(HEALTH)).status_code == 200
        assert (await server.get("/health/ready")).status_code == 200
        assert (await server.get(LINK)).status_code == 503


async def test_connections_leave_file_descriptors_for_requests(tmp_path: Path) -> None:
    few = ("prlimit", "--nofile=300:300")
    async with dev_server(tmp_path, run_as=few) as server, connections(server, 400, b""):
        for side in range(10, 14):
            response = await server.get(f"/_/resize:{side}:10/demo:beach.jpg")
            assert response.status_code == 200, response.text
