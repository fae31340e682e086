"""Write the access log: a line for each request, many lines with one system call.

`proxy.api.middleware` makes the entries. Render processes log no requests, and do without this
module: asyncio would be a tenth of the memory that they start with.
"""

import logging
import os
import time
from asyncio import get_running_loop
from collections.abc import Mapping
from contextlib import suppress
from logging.handlers import MemoryHandler
from typing import NotRequired, TypedDict

from proxy.telemetry.config import LogConfig
from proxy.telemetry.logging import format_line, to_ascii_json

_FLUSH_SECONDS = 0.25
_MAX_BUFFERED_ENTRIES = 256


class AccessLogEntry(TypedDict):
    """What is logged of a request; ``duration_ms`` and ``stages`` are in milliseconds."""

    request_id: str
    handler: str
    method: str
    status: int
    duration_ms: float
    bytes: int
    url: NotRequired[str]
    dialect: NotRequired[str]
    cache: NotRequired[str]
    source: NotRequired[str]
    stages: NotRequired[Mapping[str, float]]
    error: NotRequired[str]
    message: NotRequired[str]
    detail: NotRequired[str]


class AccessLogRecord(logging.LogRecord):
    """A record with only what `AccessLog` needs: to fill in the rest would slow cache hits."""

    def __init__(self, level: int, entry: AccessLogEntry) -> None:
        self.created = time.time()
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.process = os.getpid()
        self.entry = entry


class AccessLogFormatter(logging.Formatter):
    def format(self, record: AccessLogRecord) -> str:  # type: ignore[override]
        return format_line(record, record.entry)


class AccessLogTextFormatter(logging.Formatter):
    """``200 hit      1.2 ms     45,678 B  GET /_/resize:800/demo:beach.jpg``."""

    def format(self, record: AccessLogRecord) -> str:  # type: ignore[override]
        entry = record.entry
        line = (
            f"{entry['status']} {entry.get('cache', '-'):<6} {entry['duration_ms']:>8.1f} ms "
            f"{entry['bytes']:>11,} B  {entry['method']} {entry.get('url', '')}"
        )
        reason = entry.get("message") or entry.get("error", "")
        return to_ascii_json(f"{line}  {reason}" if reason else line)[1:-1]


class AccessLog(MemoryHandler):
    """Buffers entries and writes them together: a system call for each would slow cache hits."""

    def __init__(self, config: LogConfig, descriptor: int = 2) -> None:
        """``descriptor`` is the file to write to: standard error, unless a test says otherwise."""
        super().__init__(_MAX_BUFFERED_ENTRIES)
        self.setLevel(config.level.upper())
        self.has_urls = config.format == "text"
        self.setFormatter(AccessLogTextFormatter() if self.has_urls else AccessLogFormatter())
        self.access = config.access
        self._descriptor = descriptor

    def log(self, level: int, entry: AccessLogEntry) -> None:
        """Buffer an entry. Must be called while an event loop is running in this thread."""
        self.emit(AccessLogRecord(level, entry))  # `handle` would lock, for a single thread

    def emit(self, record: logging.LogRecord) -> None:
        if not self.buffer:
            get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        super().emit(record)

    def flush(self) -> None:
        """Write what is buffered; entries are lost where that fails, and requests go on."""
        if not self.buffer:
            return
        lines = "".join(f"{self.format(record)}\n" for record in self.buffer)
        self.buffer.clear()
        data = memoryview(lines.encode("ascii"))
        with suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]
