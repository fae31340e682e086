"""A floor for hits: a minimal ASGI app that sends the same bytes from memory, under uvicorn."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]

_FOLDER = Path(os.environ["BENCH_BODIES"])
_BODIES = {f"/{path.name}".encode(): path.read_bytes() for path in _FOLDER.iterdir()}


async def app(scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
    if scope["type"] != "http":
        return
    body = _BODIES[scope["raw_path"]]
    request_headers = dict(scope["headers"])
    status = 304 if request_headers.get(b"if-none-match") == b'"floor"' else 200
    headers = [(b"etag", b'"floor"'), (b"content-type", b"image/webp")]
    if status == 200:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if status == 200 else b""})
