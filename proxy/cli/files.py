"""Read and write the files that commands name; ``-`` is standard input or standard output."""

import os
import sys
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

from proxy.errors import ConfigError


def read_bytes(name: str) -> bytes:
    """Read a file. Raises OSError, or ConfigError where standard input is closed."""
    if name == "-":
        return bytes(_opened(sys.stdin, "standard input").buffer.read())
    return Path(name).read_bytes()


def read_text(name: str) -> str:
    """Read a file of text. Raises OSError, or ConfigError where it is no text."""
    try:
        return read_bytes(name).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name}: not a text file: the byte at {error.start} is not UTF-8"
        ) from error


def open_input(name: str) -> FileIO:
    """Open a file to read it in parts. Raises OSError, or ConfigError."""
    if name == "-":
        return FileIO(os.dup(_opened(sys.stdin, "standard input").fileno()))
    return FileIO(name)


def write_bytes(name: str, body: bytes) -> None:
    """Write a file. Raises OSError, or ConfigError where standard output is closed."""
    if name == "-":
        output = _opened(sys.stdout, "standard output").buffer
        output.write(body)
        output.flush()
    else:
        Path(name).write_bytes(body)


def standard_error() -> TextIO:
    """Raises ConfigError where it is closed."""
    return _opened(sys.stderr, "standard error")


def _opened(stream: object, name: str) -> TextIOWrapper:
    # Python sets a stream to None whose descriptor is closed at the start.
    if not isinstance(stream, TextIOWrapper):
        raise ConfigError(f"{name} is closed")
    return stream
