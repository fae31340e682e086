"""Write logs to standard error, one JSON object or text per line, alike in every process.

Rule 1  One entry is one line of printable ASCII: control characters and everything else are
        escaped, so that nobody can forge an entry or send sequences to a terminal.
Rule 2  No secrets: queries and user info of URLs are removed wherever they occur in a text. Paths
        of requests, which contain signatures, are logged only as text, which is for development.

`proxy.telemetry.access_log` writes the lines of requests.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any

import msgspec

from proxy.telemetry.config import LogConfig

_URL = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]{0,20}:/{1,2})([^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)([?#][^\s'\"<>]*)?"
)
_ENCODED_URL = re.compile(r"(?i)\b(https?%3a|b64:)[^\s'\"<>]+")
_MAX_TEXT = 8192

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
        return format_line(record, fields)


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


def format_line(record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
    return to_ascii_json(
        {
            "time": format_timestamp(record.created),
            "level": record.levelname.lower(),
            "pid": record.process,
            **fields,
        }
    )
