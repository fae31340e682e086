"""The report of a shard: what became of each rendition. A shard with a report is done."""

import io
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from proxy.errors import ConfigError
from proxy.prepare import parquet
from proxy.prepare.shards import Shard
from proxy.prepare.storage import FileHeaders, Storage

ReportFormat = Literal["parquet", "jsonl"]
REPORT_FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)

State = Literal["made", "hit", "failed"]

_FOLDER = "shards"
_HEADERS = {
    "parquet": FileHeaders("application/vnd.apache.parquet"),
    "jsonl": FileHeaders("application/jsonl"),
}


class PreparedRendition(Struct, frozen=True):
    """One rendition; ``hit``: it was there before.

    ``name`` is that of its file, ``problem`` and ``detail`` say why there is none.
    """

    source: str
    preset: str
    accept: str
    state: State
    version: str = ""
    key: str = ""
    etag: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    name: str = ""
    seconds: float = 0.0
    problem: str = ""
    detail: str = ""


COLUMNS = {field.name: field.type for field in msgspec.structs.fields(PreparedRendition)} | {
    "state": str
}


class PrepareFailure(Struct, frozen=True):
    """Why renditions of a source are missing: a line in the file of failures.

    ``renditions`` are preset and class of clients of each, such as ``card avif``.
    """

    source: str
    version: str
    problem: str
    detail: str
    renditions: tuple[str, ...]

    @property
    def reason(self) -> str:
        return self.problem


def group_failures(rows: Iterable[PreparedRendition]) -> list[PrepareFailure]:
    """The failures among these rows, one for each source and problem."""
    found: dict[tuple[str, str, str], PrepareFailure] = {}
    for row in rows:
        if row.state != "failed":
            continue
        place = row.source, row.version, row.problem
        known = found.get(place) or PrepareFailure(*place, row.detail, ())
        named = (*known.renditions, f"{row.preset} {row.accept}".strip())
        found[place] = msgspec.structs.replace(known, renditions=named)
    return list(found.values())


def encode_rows(rows: Sequence[PreparedRendition], format: ReportFormat) -> bytes:
    """Raises ConfigError where the format needs an extra that is missing."""
    if format == "jsonl":
        return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    target = io.BytesIO()
    with parquet.ParquetWriter(target, COLUMNS) as writer:
        writer.write(map(msgspec.to_builtins, rows))
    return target.getvalue()


def decode_rows(body: bytes, format: ReportFormat, name: str) -> list[PreparedRendition]:
    """Raises ConfigError for what is no report."""
    try:
        if format == "jsonl":
            return msgspec.json.Decoder(PreparedRendition).decode_lines(body)
        found = parquet.read_rows(io.BytesIO(body), name)
        return msgspec.convert(list(found), list[PreparedRendition])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{name} is no report of a shard: {error}") from error


class ReportStore:
    """The reports of all shards, in a folder or a bucket."""

    def __init__(self, storage: Storage, format: ReportFormat, fingerprint: str) -> None:
        """``fingerprint`` is that of the job: another job has other reports."""
        self._storage = storage
        self.format = format
        self._fingerprint = fingerprint
        self._names: set[str] = set()

    async def open(self) -> None:
        """Find out which reports there are. Raises StoreUnavailable."""
        self._names = {name async for name in self._storage.names(_FOLDER)}

    async def load(self, shard: Shard) -> list[PreparedRendition] | None:
        """The rows of a shard that is done; None for others. Raises StoreUnavailable."""
        for format in REPORT_FORMATS:
            name = self._name(shard, format)
            if name in self._names:
                body = await self._storage.read(f"{_FOLDER}/{name}")
                return None if body is None else decode_rows(body, format, name)
        return None

    def has(self, shard: Shard) -> bool:
        """Whether the shard is done."""
        return any(self._name(shard, format) in self._names for format in REPORT_FORMATS)

    async def save(self, shard: Shard, rows: Sequence[PreparedRendition]) -> None:
        """Raises StoreUnavailable."""
        name = self._name(shard, self.format)
        body = encode_rows(rows, self.format)
        await self._storage.write(f"{_FOLDER}/{name}", body, _HEADERS[self.format])
        self._names.add(name)

    def _name(self, shard: Shard, format: ReportFormat) -> str:
        return f"{shard.name}-{shard.digest(self._fingerprint)[:16]}.{format}"
