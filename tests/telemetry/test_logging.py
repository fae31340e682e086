"""Logs: a line is a line, and holds no secrets."""

import io
import json
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.telemetry.logging import JsonLines, LogConfig, RequestLine, RequestLog, clean, moment

pytestmark = pytest.mark.anyio

LINE = RequestLine(
    time="2026-01-02T03:04:05.678Z",
    level="info",
    process=1,
    id="abc",
    face="images",
    method="GET",
    status=200,
    ms=1.5,
    bytes=10,
)


def logged(message: str, *arguments: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    record = logging.LogRecord("a.b", logging.INFO, "", 0, message, arguments, None)
    handler.handle(record)
    return stream.getvalue()


@given(st.text())
def test_whatever_is_logged_is_one_line_of_plain_ascii(text: str) -> None:
    line = logged("%s", text)
    assert line.endswith("\n")
    assert all(" " <= character <= "~" for character in line[:-1])
    assert json.loads(line)["message"] == clean(text)


def test_a_line_says_when_how_grave_and_from_where() -> None:
    line = json.loads(logged("x %d", 1))
    assert line["level"] == "info"
    assert line["from"] == "a.b"
    assert line["process"] == os.getpid()
    assert line["message"] == "x 1"
    assert line["time"].endswith("Z")


def test_moments_are_written_in_utc_with_milliseconds() -> None:
    assert moment(0.0625) == "1970-01-01T00:00:00.062Z"


@pytest.mark.parametrize(
    ("text", "cleaned"),
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
def test_neither_queries_nor_user_info_are_written(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(
    before=st.text(alphabet=" '\"(,", max_size=3),
    scheme=st.sampled_from(["http", "https", "HTTP", "ftp"]),
    user=st.sampled_from(["", "SECRET@", "me:SECRET@", "@SECRET@"]),
    host=st.sampled_from(["a.example", "[::1]:8", "x"]),
    path=st.sampled_from(["", "/", "/b/c.jpg", "/%20"]),
    query=st.sampled_from(["", "?SECRET", "?a=SECRET&b=SECRET", "#SECRET", "?x=https://y/SECRET"]),
)
def test_no_secret_of_a_url_passes(
    before: str, scheme: str, user: str, host: str, path: str, query: str
) -> None:
    cleaned = clean(f"{before}{scheme}://{user}{host}{path}{query} end")
    assert "SECRET" not in cleaned
    assert host in cleaned
    assert cleaned.endswith(" end")


async def test_lines_of_requests_are_written_together() -> None:
    reading, writing = os.pipe()
    log = RequestLog(LogConfig(), writing)
    log.write(LINE)
    log.write(LINE)
    log.flush()
    log.flush()
    lines = os.read(reading, 4096).decode().splitlines()
    os.close(reading)
    os.close(writing)
    assert [json.loads(line)["id"] for line in lines] == ["abc", "abc"]
    assert "error" not in json.loads(lines[0])


async def test_a_request_that_is_not_ascii_is_escaped() -> None:
    reading, writing = os.pipe()
    log = RequestLog(LogConfig(), writing)
    log.write(replace(LINE, source="\x7f\u202e\u00e9\n"))
    log.flush()
    line = os.read(reading, 4096)
    os.close(reading)
    os.close(writing)
    assert b"\\u007f\\u202e\\u00e9\\n" in line
    assert line.isascii()


async def test_a_log_that_nobody_reads_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = RequestLog(LogConfig(), writing)
    log.write(LINE)
    log.flush()
    os.close(writing)


def test_the_present_moment_is_written_like_any() -> None:
    log = RequestLog(LogConfig())
    first, second = log.now(), log.now()
    assert len(first) == len(moment(0)) == len(second)
    assert first <= second


def test_a_process_that_ends_by_a_fault_says_so_in_a_line() -> None:
    program = (
        "from proxy.telemetry.logging import LogConfig, configure\n"
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
    assert "ValueError: https://a.example/?…" in lines[1]["trace"]
    assert "SECRET" not in ended.stderr
