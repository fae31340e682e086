"""`framekeep serve --dev`, started as a user starts it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from live_server import GENEROUS_TIMEOUTS
from render_processes import command_line

ALLOW_LOOPBACK = {"FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8"}


@dataclass
class DevServer:
    process: asyncio.subprocess.Process
    client: httpx2.AsyncClient
    startup_message: str

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=headers)

    async def render_processes(self) -> set[int]:
        """The process ids of the render processes, children of the fork server."""
        return {
            grandchild
            for child in children(self.process.pid)
            for grandchild in children(child)
            if "proxy.render.fork_server" in command_line(child)
        }


def children(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return []
    return [int(child) for child in found.split()]


@asynccontextmanager
async def dev_server(
    cache_dir: Path,
    *args: str,
    environment: Mapping[str, str] | None = None,
    run_as: Collection[str] = (),
) -> AsyncIterator[DevServer]:
    """Run `framekeep serve --dev` with these arguments; ``run_as`` comes before the command."""
    process = await asyncio.create_subprocess_exec(
        *run_as,
        *(sys.executable, "-m", "proxy", "serve", "--dev", "--port", "0", *args),
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            **GENEROUS_TIMEOUTS,
            "FRAMEKEEP_SERVER_WORKERS": "1",  # on a machine with more cores, too
            "FRAMEKEEP_CACHE_DIR": str(cache_dir),
            **(environment or {}),
        },
    )
    assert process.stdout is not None
    try:
        startup_message = (await process.stdout.readuntil(b"Ctrl-C")).decode()
        address = re.search(r"http://127\.0\.0\.1:\d+", startup_message)
        assert address is not None
        async with httpx2.AsyncClient(
            base_url=address[0],
            timeout=120,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None),
        ) as client:
            yield DevServer(process, client, startup_message)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()
