"""Logs: one JSON object a line on standard error, the same from every process.

Rule 1  A line is a line: whatever is in it, control characters and all that is not ASCII come out
        escaped, so nobody forges a line or paints a terminal.
Rule 2  No secrets: of URLs neither the query nor user info is written, wherever in a text they
        stand; paths of requests, which hold signatures, are never given here.
"""

import json
import logging
import os
import re
import sys
import time
from asyncio import get_running_loop
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal

import msgspec
from msgspec import Struct


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least grave lines that are written."""

    access: Literal["all", "misses", "errors", "none"] = "misses"
    """Which requests get a line: all; those not answered from the cache; those that failed."""


# Written in one piece, percent-encoded, or in Base64: a URL may hold what is nobody's business.
_URL = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]{0,20}:/{1,2})([^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?"
)
_CODED = re.compile(r"(?i)\b(https?%3a|b64:)[^\s'\"<>]+")
_LONGEST = 8192
_DEL = "\x7f"


def clean(text: str) -> str:
    """The text without what must not be written: queries and user info of URLs."""
    text = _CODED.sub(r"\1…", text[:_LONGEST])
    return _URL.sub(lambda url: f"{url[1]}{url[3]}{'?…' if url[4] else ''}", text)


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "from": record.name,
            "process": record.process,
            "message": clean(record.getMessage()),
        }
        if record.exc_info:
            line["trace"] = clean(self.formatException(record.exc_info))
        return in_ascii(line)


def configure(settings: LogConfig) -> None:
    """Let this process log so. What Python itself complains of is logged as well."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    logging.captureWarnings(True)
    for name in ("asyncio", "uvicorn"):  # below, they tell of every step
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warnings are about strangers' files: what matters of them is in the request's line.
    logging.getLogger("pyvips").setLevel(logging.ERROR)
    sys.excepthook = _crash


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("framekeep").critical("ended by a fault", exc_info=(kind, error, trace))


def moment(seconds: float) -> str:
    """A moment in Unix seconds, as a reader of logs wants it."""
    whole = int(seconds)
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{shown}.{int((seconds - whole) * 1000):03}Z"


def in_ascii(line: Mapping[str, Any]) -> str:
    return json.dumps(line).replace(_DEL, "\\u007f")


class RequestLine(Struct, frozen=True, omit_defaults=True):
    """What is written of a request; ``ms`` and ``stages`` in milliseconds."""

    time: str
    level: str
    process: int
    id: str
    face: str
    method: str
    status: int
    ms: float
    bytes: int
    cache: str = "none"
    source: str = ""
    stages: Mapping[str, float] = {}
    error: str = ""
    message: str = ""
    detail: str = ""


_FLUSH_SECONDS = 0.25
_FLUSH_BYTES = 65_536


class RequestLog:
    """Lines of requests, written some at a time: a system call for each would make hits dear."""

    def __init__(self, settings: LogConfig, descriptor: int = 2) -> None:
        """``descriptor`` is standard error's."""
        self.wants = settings.access
        self._least = logging.getLevelNamesMapping()[settings.level.upper()]
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._bytes = 0
        self._second = 0
        self._shown = ""
        self._encode = msgspec.json.Encoder().encode
        self.process = os.getpid()

    def admits(self, level: int) -> bool:
        return level >= self._least

    def now(self) -> str:
        """The present moment; only its milliseconds are written anew each time."""
        seconds = time.time()
        whole = int(seconds)
        if whole != self._second:
            self._second = whole
            self._shown = moment(whole)[:-4]
        return f"{self._shown}{int((seconds - whole) * 1000):03}Z"

    def write(self, line: RequestLine) -> None:
        """Have the line written soon. To be called on a running loop."""
        encoded = self._encode(line)
        if not encoded.isascii() or b"\x7f" in encoded:
            encoded = in_ascii(msgspec.to_builtins(line)).encode()
        if not self._lines:
            get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        self._lines.append(encoded)
        self._bytes += len(encoded)
        if self._bytes >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is there. A log that cannot be written to is no reason to stop serving."""
        if not self._lines:
            return
        data = memoryview(b"\n".join((*self._lines, b"")))
        self._lines.clear()
        self._bytes = 0
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return
