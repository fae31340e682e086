"""Read a manifest: a source in each row, with presets, tags and a version in further columns.

It is read once, from the first row to the last, and never all in memory.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from proxy.errors import ConfigError

ManifestFormat = Literal["lines", "csv", "jsonl", "parquet"]
MANIFEST_FORMATS: tuple[ManifestFormat, ...] = get_args(ManifestFormat)

COLUMNS = ("source", "presets", "tags", "version")

MAX_LINE_BYTES = 65_536
_MAX_LIST = 64
_SUFFIXES: Mapping[str, ManifestFormat] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


class ManifestRow(Struct, frozen=True, omit_defaults=True):
    """A source, as in a link; where ``presets`` are given, they replace those of the command."""

    source: str
    presets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    version: str = ""

    def merge(self, other: "ManifestRow") -> "ManifestRow":
        """The row of a source that is listed twice. Presets and tags of both count."""
        return msgspec.structs.replace(
            self,
            presets=tuple(dict.fromkeys((*self.presets, *other.presets))),
            tags=tuple(dict.fromkeys((*self.tags, *other.tags))),
        )


def guess_format(name: str) -> ManifestFormat:
    """The format of a file with this name; text where the suffix says nothing."""
    return _SUFFIXES.get(PurePath(name).suffix.lower(), "lines")


def read_rows(file: io.RawIOBase, name: str, format: ManifestFormat) -> Iterator[ManifestRow]:
    """Yield the rows. Raises ConfigError, naming the line and what is wrong with it."""
    if format == "parquet":
        from proxy.prepare import parquet  # noqa: PLC0415 - an extra

        rows = parquet.read_rows(file, name)
        return _convert(((f"row {number}", row) for number, row in enumerate(rows, 1)), name)
    return _READERS[format](_numbered_lines(file, name), name)


def _numbered_lines(file: io.RawIOBase, name: str) -> Iterator[tuple[int, str]]:
    with io.BufferedReader(file, 1 << 20) as buffered:
        number = 0
        while line := buffered.readline(MAX_LINE_BYTES + 2):
            number += 1
            if len(line.rstrip(b"\r\n")) > MAX_LINE_BYTES:
                raise ConfigError(f"{name}: line {number} is longer than {MAX_LINE_BYTES} bytes")
            try:
                yield number, line.decode().lstrip("\ufeff" if number == 1 else "")
            except UnicodeDecodeError as error:
                raise ConfigError(f"{name}: not a text file: line {number} is not UTF-8") from error


def _read_lines(lines: Iterator[tuple[int, str]], name: str) -> Iterator[ManifestRow]:
    for number, line in lines:
        if source := line.strip():
            yield _make_row({"source": source}, f"{name}: line {number}")


def _read_jsonl(lines: Iterator[tuple[int, str]], name: str) -> Iterator[ManifestRow]:
    def decode() -> Iterator[tuple[str, Any]]:
        for number, line in lines:
            if line.strip():
                try:
                    yield f"line {number}", msgspec.json.decode(line)
                except msgspec.DecodeError as error:
                    raise ConfigError(f"{name}: line {number} is not JSON: {error}") from error

    return _convert(decode(), name)


def _read_csv(lines: Iterator[tuple[int, str]], name: str) -> Iterator[ManifestRow]:
    reader = csv.reader(line for _, line in lines)
    try:
        header = next(reader, None)
        if header is None:
            return
        columns = [column.strip() for column in header]
        _check_columns(columns, f"{name}: line 1")
        for values in reader:
            if not values:
                continue
            where = f"{name}: line {reader.line_num}"
            if len(values) != len(columns):
                raise ConfigError(f"{where} has {len(values)} fields, the header {len(columns)}")
            yield _make_row(dict(zip(columns, values, strict=True)), where)
    except csv.Error as error:
        raise ConfigError(f"{name}: line {reader.line_num} is not CSV: {error}") from error


_Reader = Callable[[Iterator[tuple[int, str]], str], Iterator[ManifestRow]]
_READERS: Mapping[str, _Reader] = {"lines": _read_lines, "csv": _read_csv, "jsonl": _read_jsonl}


def _convert(rows: Iterator[tuple[str, Any]], name: str) -> Iterator[ManifestRow]:
    for where, row in rows:
        if isinstance(row, str):
            yield ManifestRow(row.strip())
            continue
        if not isinstance(row, dict):
            raise ConfigError(f"{name}: {where} is neither a text nor an object")
        _check_columns(row, f"{name}: {where}")
        yield _make_row(row, f"{name}: {where}")


def _check_columns(columns: Sequence[str] | Mapping[str, object], where: str) -> None:
    if "source" not in columns:
        raise ConfigError(f"{where} has no column `source`; the columns are: {', '.join(COLUMNS)}")
    for column in columns:
        if column not in COLUMNS:
            raise ConfigError(
                f"{where}: {column!r} is not a column of a manifest; the columns are: "
                f"{', '.join(COLUMNS)}"
            )


def _make_row(values: Mapping[str, object], where: str) -> ManifestRow:
    source, version = values["source"], values.get("version")
    if not isinstance(source, str) or not source.strip():
        raise ConfigError(f"{where}: source must be a text that is not empty")
    if version is not None and not isinstance(version, str | int):
        raise ConfigError(f"{where}: version must be a text")
    return ManifestRow(
        source.strip(),
        _read_list(values.get("presets"), f"{where}: presets"),
        _read_list(values.get("tags"), f"{where}: tags"),
        "" if version is None else str(version).strip(),
    )


def _read_list(value: object, where: str) -> tuple[str, ...]:
    """A list of texts, or one text in which commas or spaces separate them."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigError(f"{where} must be a list of texts, or a text with commas between them")
    if len(value) > _MAX_LIST:
        raise ConfigError(f"{where} has {len(value)} values, at most {_MAX_LIST} are allowed")
    return tuple(dict.fromkeys(value))
