"""Read and write Parquet. The only module that imports pyarrow, an extra."""

import io
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proxy.errors import ConfigError

_BATCH_ROWS = 10_000


def is_installed() -> bool:
    return find_spec("pyarrow") is not None


def require() -> None:
    """Raise ConfigError where pyarrow is not installed."""
    if not is_installed():
        raise ConfigError("Parquet needs an extra: pip install 'framekeep[parquet]'")


def read_rows(file: io.RawIOBase | io.BytesIO, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows, a batch of them in memory. Raises ConfigError for what is no Parquet."""
    require()
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - an extra

    if not file.seekable():
        raise ConfigError(f"{name}: Parquet is read from its end, so it must be a file")
    try:
        with file, ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{name}: not a Parquet file: {reason}") from error


class ParquetWriter:
    """Writes rows of texts, whole numbers and floats; a table of rows is one row group."""

    def __init__(self, target: Path | io.BytesIO, columns: Mapping[str, type]) -> None:
        """Raises ConfigError where pyarrow is not installed."""
        require()
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra

        types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
        self._table = pa.Table
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._writer = parquet.ParquetWriter(target, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, rows: Iterable[Mapping[str, object]]) -> None:
        self._writer.write_table(self._table.from_pylist(list(rows), schema=self._schema))
