"""Read a list of links line by line: a file, a pipe or a terminal, however long it is."""

import asyncio
import hashlib
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from proxy.cli.files import open_input
from proxy.errors import ConfigError

MAX_LINE_BYTES = 65_536
_CHUNK_BYTES = 65_536


async def read_lines(name: str) -> AsyncIterator[str]:
    """Yield the lines that are not blank, while others work; ``-`` is standard input.

    Raises OSError, or ConfigError where it is no text.
    """
    splitter = _LineSplitter(name)
    with open_input(name) as file:
        chunk = b"-"
        while chunk:
            await _wait_readable(file.fileno())
            chunk = os.read(file.fileno(), _CHUNK_BYTES)
            for line in splitter.split(chunk):
                yield line


def count_lines(name: str) -> int | None:
    """Count the lines that are not blank; None where that would use them up, as in a pipe.

    Raises OSError, or ConfigError where it is no text.
    """
    if name == "-" or not stat.S_ISREG(Path(name).stat().st_mode):
        return None
    splitter, count = _LineSplitter(name), 0
    with open_input(name) as file:
        chunk = b"-"
        while chunk:
            chunk = os.read(file.fileno(), _CHUNK_BYTES)
            count += sum(1 for _ in splitter.split(chunk))
    return count


class SeenLinks:
    """The links so far, in a temporary database on disk: they may not fit into memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a file that SQLite removes
        self._database.execute("CREATE TABLE links (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, link: str) -> bool:
        """Whether the link is new. Raises ConfigError where there is no space for it."""
        digest = hashlib.blake2b(link.encode(), digest_size=16).digest()
        try:
            added = self._database.execute("INSERT OR IGNORE INTO links VALUES (?)", (digest,))
        except sqlite3.Error as error:
            raise ConfigError(
                f"the links so far cannot be written to the temporary folder: {error}; "
                "name another one with SQLITE_TMPDIR"
            ) from error
        return added.rowcount == 1

    def close(self) -> None:
        self._database.close()


class _LineSplitter:
    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._number = 0

    def split(self, chunk: bytes) -> Iterator[str]:
        """The lines that this chunk completes; an empty chunk is the end."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk:
            lines.append(self._rest)
        for line in lines:
            self._number += 1
            if text := self._decode(line):
                yield text
        if len(self._rest) > MAX_LINE_BYTES:
            self._number += 1
            self._decode(self._rest)

    def _decode(self, line: bytes) -> str:
        if len(line) > MAX_LINE_BYTES:
            raise ConfigError(
                f"{self._name}: line {self._number} is longer than {MAX_LINE_BYTES} bytes"
            )
        try:
            return line.decode().strip()
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{self._name}: not a text file: line {self._number} is not UTF-8"
            ) from error


async def _wait_readable(descriptor: int) -> None:
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:  # epoll refuses files on disk, which nobody has to wait for
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
