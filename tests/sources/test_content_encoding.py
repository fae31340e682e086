"""Bodies that are compressed although `identity` was asked for."""

import contextlib
import gzip
import sys
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import SourceFailed
from proxy.sources.content_encoding import MAX_PIECE_BYTES, open_decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = bytes(range(256)) * 40


def deflate_raw(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "X-GZip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": deflate_raw,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def decode(name: str, data: bytes, chunk_bytes: int = 1000) -> bytes:
    decoder = open_decoder(name)
    assert decoder is not None
    decoded = b""
    for start in range(0, len(data), chunk_bytes):
        for piece in decoder.decode(data[start : start + chunk_bytes]):
            assert len(piece) <= MAX_PIECE_BYTES
            decoded += piece
    return decoded + b"".join(decoder.finish())


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("chunk_bytes", [1, 7, 1_000_000])
def test_each_coding_is_decoded_however_it_arrives(name: str, chunk_bytes: int) -> None:
    assert decode(name, ENCODERS[name](BODY), chunk_bytes) == BODY


@pytest.mark.parametrize("name", ENCODERS)
def test_a_body_that_is_cut_is_an_error(name: str) -> None:
    with pytest.raises(SourceFailed, match="damaged"):
        decode(name, ENCODERS[name](BODY)[:-9])


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bomb_comes_in_small_pieces(name: str) -> None:
    """Whoever takes them can stop at once."""
    bomb = ENCODERS[name](bytes(20_000_000))
    decoder = open_decoder(name)
    assert decoder is not None
    pieces = decoder.decode(bomb)
    assert [len(next(pieces)) <= MAX_PIECE_BYTES for _ in range(10)] == [True] * 10
    assert len(decode(name, bomb)) == 20_000_000


@given(st.binary(max_size=3000), st.lists(st.sampled_from(sorted(ENCODERS)), max_size=3))
def test_several_codings_are_undone_in_reverse(body: bytes, names: list[str]) -> None:
    encoded = body
    for name in names:
        encoded = ENCODERS[name](encoded)
    header = ",".join(["identity", *names])
    assert open_decoder(header) is None if not names else decode(header, encoded) == body


@given(st.binary(max_size=300), st.sampled_from(sorted(ENCODERS)))
def test_no_bytes_break_a_decoder(data: bytes, name: str) -> None:
    with contextlib.suppress(SourceFailed):
        decode(name, data, 50)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("body", [b"", b"a", b"\xff\xd8\xff\xe0" + BODY])
def test_a_coding_that_was_not_applied_changes_nothing(name: str, body: bytes) -> None:
    assert decode(name, body, 2) == body


@pytest.mark.parametrize(
    "header",
    ["", "identity", "none", "utf-8", "binary", "aws-chunked", "image/jpeg", ",", "gzipped"],
)
def test_what_is_no_coding_changes_nothing(header: str) -> None:
    assert open_decoder(header) is None


def test_parts_of_a_stream_that_follow_each_other_are_one_body() -> None:
    assert decode("gzip", gzip.compress(BODY) * 3, 11) == BODY * 3
    assert decode("zstd", zstd.compress(BODY) * 3, 11) == BODY * 3
    assert decode("gzip", gzip.compress(BODY) + b"\0" * 50) == BODY


def test_a_window_of_many_megabytes_is_refused() -> None:
    stream = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 27})
    encoded = stream.compress(BODY) + stream.flush()
    with pytest.raises(SourceFailed, match="damaged zstd"):
        decode("zstd", encoded)


@pytest.mark.parametrize("header", ["compress", "gzip, X-Compress", "gzip,gzip,gzip,gzip"])
def test_what_cannot_be_decoded_is_an_error(header: str) -> None:
    with pytest.raises(SourceFailed):
        open_decoder(header)
