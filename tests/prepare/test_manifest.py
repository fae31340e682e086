"""Manifests: each format gives the same rows, and what is wrong is named with its line."""

import io
import json
from collections.abc import Iterable
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigError
from proxy.prepare.listing import BucketPrefix, find_prefix
from proxy.prepare.manifest import (
    MAX_LINE_BYTES,
    ManifestFormat,
    ManifestRow,
    guess_format,
    read_rows,
)
from proxy.prepare.parquet import ParquetWriter

needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="an extra")


class Bytes(io.RawIOBase):
    """A file in memory that is read like one on disk."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        return self._body.tell()

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._body.readinto(buffer)


def rows(body: bytes | str, format: ManifestFormat) -> list[ManifestRow]:
    data = body.encode() if isinstance(body, str) else body
    return list(read_rows(Bytes(data), "list", format))


FULL = ManifestRow("media:a b.jpg", ("card", "hero"), ("sale",), "7")


def test_lines_are_sources_without_blank_ones() -> None:
    found = rows("\ufeffhttps://a.example/1.jpg\r\n\n  media:2.jpg \n", "lines")
    assert found == [ManifestRow("https://a.example/1.jpg"), ManifestRow("media:2.jpg")]


def test_csv_has_a_header_and_lists_in_one_field() -> None:
    text = 'version,source,presets,tags\n7,"media:a b.jpg","card, hero",sale\n\n,media:2.jpg,,\n'
    assert rows(text, "csv") == [FULL, ManifestRow("media:2.jpg")]


def test_json_lines_are_texts_or_objects() -> None:
    full = {"source": FULL.source, "presets": ["card", "hero"], "tags": "sale", "version": 7}
    text = f'{json.dumps(full)}\n"media:2.jpg"\n'
    assert rows(text, "jsonl") == [FULL, ManifestRow("media:2.jpg")]


@needs_pyarrow
def test_parquet_has_the_same_columns() -> None:
    target = io.BytesIO()
    columns = {"source": str, "presets": str, "version": str}
    with ParquetWriter(target, columns) as writer:
        writer.write([{"source": FULL.source, "presets": "card hero", "version": "7"}])
        writer.write([{"source": "media:2.jpg"}])
    found = rows(target.getvalue(), "parquet")
    assert found == [ManifestRow(FULL.source, FULL.presets, (), "7"), ManifestRow("media:2.jpg")]


@needs_pyarrow
def test_what_is_no_parquet_is_refused() -> None:
    with pytest.raises(ConfigError, match="list: not a Parquet file"):
        rows(b"source\n", "parquet")


@pytest.mark.parametrize(
    ("format", "text", "message"),
    [
        ("lines", "media:a\n" + "x" * (MAX_LINE_BYTES + 1), "list: line 2 is longer than 65536"),
        ("lines", b"media:a\n\xff\n", "list: not a text file: line 2 is not UTF-8"),
        ("csv", "url\nmedia:a\n", "list: line 1 has no column `source`"),
        ("csv", "source,id\nmedia:a,1\n", "list: line 1: 'id' is not a column of a manifest"),
        ("csv", "source,tags\nmedia:a\n", "list: line 2 has 1 fields, the header 2"),
        ("csv", 'source\n" "\n', "list: line 2: source must be a text that is not empty"),
        ("jsonl", '{"source": "media:a"}\n{', "list: line 2 is not JSON"),
        ("jsonl", "7\n", "list: line 1 is neither a text nor an object"),
        ("jsonl", '{"source": 7}', "list: line 1: source must be a text"),
        ("jsonl", '{"source": "a", "tags": [1]}', "list: line 1: tags must be a list of texts"),
        ("jsonl", '{"source": "a", "version": [1]}', "list: line 1: version must be a text"),
        (
            "jsonl",
            json.dumps({"source": "a", "tags": ["t"] * 65}),
            "tags has 65 values, at most 64 are allowed",
        ),
    ],
)
def test_what_is_wrong_is_named(format: ManifestFormat, text: bytes | str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rows(text, format)


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.csv", "csv"), ("A.JSONL", "jsonl"), ("a.parquet", "parquet"), ("-", "lines")],
)
def test_the_suffix_says_the_format(name: str, format: str) -> None:
    assert guess_format(name) == format


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=20)


@given(st.lists(st.builds(ManifestRow, texts, st.tuples(texts), version=texts), max_size=20))
def test_json_lines_lose_nothing(written: Iterable[ManifestRow]) -> None:
    lines = (
        json.dumps({"source": one.source, "presets": one.presets, "version": one.version})
        for one in written
    )
    assert rows("\n".join(lines), "jsonl") == list(written)


ALIASES = {
    "all": "s3://uploads?region=x",
    "new": "s3://uploads/2026/?region=x",
    "local": "file:///srv",
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://uploads/2026/05", BucketPrefix("new", ALIASES["new"], "05/")),
        ("s3://uploads/2026/", BucketPrefix("new", ALIASES["new"], "")),
        ("s3://uploads/20260", BucketPrefix("all", ALIASES["all"], "20260/")),
    ],
)
def test_a_bucket_is_listed_through_the_nearest_alias(url: str, expected: BucketPrefix) -> None:
    assert find_prefix(url, ALIASES) == expected


def test_a_bucket_without_an_alias_is_refused() -> None:
    with pytest.raises(ConfigError, match="no alias of FRAMEKEEP_SOURCES_ALIASES has this bucket"):
        find_prefix("s3://others/2026", ALIASES)
