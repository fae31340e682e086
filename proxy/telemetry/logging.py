"""Write logs to standard error, one JSON object or text per line, alike in every process.

Rule 1  One entry is one line of printable ASCII: control characters and everything else are
        escaped, so that nobody can forge an entry or send sequences to a terminal.
Rule 2  No secrets: queries and user info of URLs are removed wherever they occur in a text. Paths
        of requests, which contain signatures, are logged only as text, which is for development.

`proxy.api.middleware` makes the entries of the access log.
"""

import json
import logging
import os
import re
import sys
import time
from asyncio import get_running_loop
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from logging.handlers import MemoryHandler
from types import TracebackType
from typing import Any, NotRequired, TypedDict

import msgspec

from proxy.telemetry.config import LogConfig

_URL = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]{0,20}:/{1,2})([^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?"
)
_ENCODED_URL = re.compile(r"(?i)\b(https?%3a|b64:)[^\s'\"<>]+")
_MAX_TEXT = 8192
_FLUSH_SECONDS = 0.25
_MAX_BUFFERED_ENTRIES = 256

_encode = msgspec.json.Encoder().encode


def redact(text: str) -> str:
    """Remove the queries and user info of URLs, and the whole of percent- or Base64-encoded ones.

    What is longer than 8192 characters is cut off.
    """
    text = _ENCODED_URL.sub(r"\1…", text[:_MAX_TEXT])
    return _URL.sub(lambda url: f"{url[1]}{url[3]}{'?…' if url[4] else ''}", text)


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = redact(record.getMessage())
        if record.exc_info:
            text += f"\n{redact(self.formatException(record.exc_info))}"
        # JSON's escapes, without its quotes: rule 1. The lines of a traceback stay lines.
        lines = "\n    ".join(to_ascii_json(line)[1:-1] for line in text.split("\n"))
        return f"{record.levelname.lower()}: {lines}"


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"logger": record.name, "message": redact(record.getMessage())}
        if record.exc_info:
            fields["traceback"] = redact(self.formatException(record.exc_info))
        return _line(record, fields)


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
        return _line(record, record.entry)


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


def configure(config: LogConfig) -> None:
    """Set up the logging of this process, including warnings and uncaught exceptions of Python."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if config.format == "text" else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=config.level.upper(), force=True)
    logging.captureWarnings(True)
    for name in ("asyncio", "uvicorn"):  # too much detail below this level
        logging.getLogger(name).setLevel(logging.WARNING)
    # libvips warns about defects of single originals; the access log has the error that matters.
    logging.getLogger("pyvips").setLevel(logging.ERROR)
    sys.excepthook = _log_uncaught_exception


def _log_uncaught_exception(
    exc_type: type[BaseException], exc: BaseException, traceback: TracebackType | None
) -> None:
    logging.getLogger("framekeep").critical(
        "uncaught exception", exc_info=(exc_type, exc, traceback)
    )


def format_timestamp(seconds: float) -> str:
    """Format Unix seconds as RFC 3339, in UTC with milliseconds."""
    return _format_milliseconds(int(seconds * 1000))


@lru_cache(maxsize=16)  # under load, many lines have the same time
def _format_milliseconds(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03}Z"


def to_ascii_json(fields: object) -> str:
    try:
        encoded = _encode(fields)
        if encoded.isascii() and b"\x7f" not in encoded:
            return encoded.decode()
    except UnicodeEncodeError:  # a lone surrogate
        pass
    return json.dumps(fields, separators=(",", ":")).replace("\x7f", "\\u007f")


def _line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    return to_ascii_json(
        {
            "time": format_timestamp(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            **fields,
        }
    )
