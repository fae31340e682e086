"""Logs: one line per entry, and no secrets."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.access_log import AccessLog, AccessLogEntry
from proxy.telemetry.config import LogConfig
from proxy.telemetry.logging import JsonFormatter, format_timestamp, redact

pytestmark = pytest.mark.anyio

ENTRY: AccessLogEntry = {
    "request_id": "abc",
    "handler": "images",
    "method": "GET",
    "status": 200,
    "duration_ms": 1.5,
    "bytes": 10,
}


def logged(message: str, *arguments: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    record = logging.LogRecord("a.b", logging.INFO, "", 0, message, arguments, None)
    handler.handle(record)
    return stream.getvalue()


@given(st.text(st.characters(exclude_categories=())))
def test_every_message_is_one_line_of_printable_ascii(text: str) -> None:
    line = logged("%s", text)
    assert line.endswith("\n")
    assert all(" " <= character <= "~" for character in line[:-1])
    assert json.loads(line)["message"] == redact(text)


def test_a_line_has_time_level_logger_and_pid() -> None:
    line = json.loads(logged("x %d", 1))
    assert line["level"] == "info"
    assert line["logger"] == "a.b"
    assert line["pid"] == os.getpid()
    assert line["message"] == "x 1"
    assert line["time"].endswith("Z")


def test_timestamps_are_in_utc_with_milliseconds() -> None:
    assert format_timestamp(0.0625) == "1970-01-01T00:00:00.062Z"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET https://a.example/b?token=SECRET failed", "GET https://a.example/b?… failed"),
        ("'https://u:SECRET@a.example/b'", "'https://a.example/b'"),
        ("url=URL('http://a.example/?SECRET#SECRET')", "url=URL('http://a.example/?…')"),
        ("https:/SECRET@a.example/b", "https:/a.example/b"),
        ("HTTPS://SECRET@a.example", "HTTPS://a.example"),
        ("s3://SECRET@bucket/x?SECRET", "s3://bucket/x?…"),
        ("https://a.example/x@y", "https://a.example/x@y"),
        ("https://a.example#SECRET", "https://a.example?…"),
        ("https%3A%2F%2Fa.example%2F%3FSECRET is wrong", "https%3A… is wrong"),
        ("b64:SECRET is wrong", "b64:… is wrong"),
        ("https://u:SE/CRET@a.example/?x", "https://u:SE/CRET@a.example/?…"),
        ("what? nothing: at all @ home", "what? nothing: at all @ home"),
    ],
)
def test_queries_and_user_info_are_redacted(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@given(
    before=st.text(alphabet=" '\"(,", max_size=3),
    scheme=st.sampled_from(["http", "https", "HTTP", "ftp"]),
    user=st.sampled_from(["", "SECRET@", "me:SECRET@", "@SECRET@"]),
    host=st.sampled_from(["a.example", "[::1]:8", "x"]),
    path=st.sampled_from(["", "/", "/b/c.jpg", "/%20"]),
    query=st.sampled_from(["", "?SECRET", "?a=SECRET&b=SECRET", "#SECRET", "?x=https://y/SECRET"]),
)
def test_no_secret_of_a_url_is_logged(
    before: str, scheme: str, user: str, host: str, path: str, query: str
) -> None:
    redacted = redact(f"{before}{scheme}://{user}{host}{path}{query} end")
    assert "SECRET" not in redacted
    assert host in redacted
    assert redacted.endswith(" end")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


async def test_access_log_entries_are_written_together(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log = AccessLog(LogConfig(), writing)
    log.log(logging.INFO, ENTRY)
    log.log(logging.WARNING, ENTRY)
    with pytest.raises(BlockingIOError):
        os.read(reading, 4096)
    log.close()
    first, second = map(json.loads, os.read(reading, 4096).splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {"level": "info", "pid": os.getpid(), **ENTRY}
    assert second["level"] == "warning"


async def test_a_full_buffer_is_written_at_once(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log = AccessLog(LogConfig(), writing)
    for _ in range(300):
        log.log(logging.INFO, ENTRY)
    assert len(os.read(reading, 1_000_000).splitlines()) == 256
    log.close()


async def test_an_error_is_written_at_once(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log = AccessLog(LogConfig(), writing)
    log.log(logging.ERROR, ENTRY)
    assert json.loads(os.read(reading, 4096))["level"] == "error"
    log.close()


async def test_an_access_log_entry_that_is_not_ascii_is_escaped(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    log = AccessLog(LogConfig(), writing)
    log.log(logging.INFO, {**ENTRY, "source": "\x7f\u202e\u00e9\n\ud800"})
    log.close()
    line = os.read(reading, 4096)
    assert b"\\u007f\\u202e\\u00e9\\n\\ud800" in line
    assert line.isascii()


async def test_an_access_log_that_cannot_be_written_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = AccessLog(LogConfig(), writing)
    log.log(logging.INFO, ENTRY)
    log.close()
    os.close(writing)


def test_warnings_and_uncaught_exceptions_are_logged() -> None:
    program = (
        "from proxy.telemetry.config import LogConfig\n"
        "from proxy.telemetry.logging import configure\n"
        "configure(LogConfig())\n"
        "import warnings; warnings.warn('careful')\n"
        "raise ValueError('https://a.example/?SECRET')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["warning", "critical"]
    assert "careful" in lines[0]["message"]
    assert "ValueError: https://a.example/?…" in lines[1]["traceback"]
    assert "SECRET" not in ended.stderr
