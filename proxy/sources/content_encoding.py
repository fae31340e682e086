"""Undo the ``Content-Encoding`` of a body: gzip, deflate, br and zstd (RFC 9110 section 8.4).

Sources are asked for `identity`, and some encode all the same. What is no coding (``none``,
``utf-8``, ``aws-chunked``) changes nothing, as in browsers, nor does a coding that was announced
and not applied, where the first bytes show it. Decoded bytes come in small pieces, so that whoever
takes them can stop at a bound.
"""

import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import brotli

from proxy.errors import SourceFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 64 * 1024
MAX_PIECE_BYTES = 4 * PIECE_BYTES  # brotli fills the blocks that it has reserved

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_LOG = 23  # 8 MiB, as RFC 9659 has it
_MAX_CODINGS = 3


class _Decompressor(Protocol):
    """Decompresses one stream, and ignores what follows it."""

    @property
    def is_finished(self) -> bool: ...

    def decode(self, data: bytes) -> Iterator[bytes]: ...


class _Zlib:
    """A stream of zlib's; ``window`` chooses its wrapper. gzip may have several members."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._rest = b""
        self._ignores_rest = False

    @property
    def is_finished(self) -> bool:
        return self._stream.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream.eof:
                self._rest += data
                data = b""
                if not self._next_member():
                    return
                data, self._rest = self._rest, b""
            piece = self._stream.decompress(data, PIECE_BYTES)
            data = self._stream.unconsumed_tail
            if piece:
                yield piece
            if self._stream.eof:
                data = self._stream.unused_data
            elif not data and len(piece) < PIECE_BYTES:
                return

    def _next_member(self) -> bool:
        """Start another member, if what follows the last one is one."""
        if self._ignores_rest or self._window != _GZIP_WINDOW:
            self._rest = b""
        elif self._rest.startswith(_GZIP_MAGIC):
            self._stream = zlib.decompressobj(self._window)
            return True
        elif not _GZIP_MAGIC.startswith(self._rest):
            self._rest, self._ignores_rest = b"", True
        return False


_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def is_finished(self) -> bool:
        return bool(self._stream.is_finished())

    def decode(self, data: bytes) -> Iterator[bytes]:
        while not self._stream.is_finished():
            piece = self._stream.process(data, output_buffer_limit=PIECE_BYTES)
            data = b""
            if not piece:
                return
            yield piece


class _Zstd:
    """Zstandard, whose frames follow each other."""

    def __init__(self) -> None:
        self._stream = self._open()
        self._rest = b""

    @staticmethod
    def _open() -> "zstd.ZstdDecompressor":
        return zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    @property
    def is_finished(self) -> bool:
        return self._stream.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream.eof:
                self._rest += data
                if not self._rest.startswith(_ZSTD_MAGIC):
                    self._rest = self._rest[: len(_ZSTD_MAGIC)]
                    return
                data, self._rest, self._stream = self._rest, b"", self._open()
            piece = self._stream.decompress(data, PIECE_BYTES)
            data = b""
            if piece:
                yield piece
            if self._stream.eof:
                data = self._stream.unused_data
            elif self._stream.needs_input:
                return


class _Coding:
    """One coding of a body. ``sniffed`` are the bytes that tell which decompressor it needs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sniffed = b""
        self._decompressor: _Decompressor | None = None
        self._is_plain = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._decompressor is None and not self._is_plain:
            self._sniffed += data
            if len(self._sniffed) < len(_ZSTD_MAGIC):
                return
            data = self._start()
        yield from self._decode(data)

    def _decode(self, data: bytes) -> Iterator[bytes]:
        if self._decompressor is None:
            yield data
            return
        try:
            yield from self._decompressor.decode(data)
        except (zlib.error, brotli.error, zstd.ZstdError) as error:
            raise self._damaged(str(error)) from error

    def finish(self) -> Iterator[bytes]:
        """Return what is left at the end. Raises SourceFailed where the stream is cut."""
        if self._sniffed:  # a short body
            yield from self._decode(self._start())
        if self._decompressor is not None and not self._decompressor.is_finished:
            raise self._damaged("the end is missing")

    def _start(self) -> bytes:
        """Choose the decompressor by the first bytes, and return them."""
        data, self._sniffed = self._sniffed, b""
        match self._name:
            case "gzip" if data.startswith(_GZIP_MAGIC):
                self._decompressor = _Zlib(_GZIP_WINDOW)
            case "deflate":
                # Some servers leave out the wrapper of RFC 1950.
                has_wrapper = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
                self._decompressor = _Zlib(zlib.MAX_WBITS if has_wrapper else -zlib.MAX_WBITS)
            case "br":
                self._decompressor = _Brotli()
            case "zstd" if data.startswith(_ZSTD_MAGIC):
                self._decompressor = _Zstd()
            case _:
                self._is_plain = True
        return data

    def _damaged(self, detail: str) -> SourceFailed:
        return SourceFailed(f"source sent a damaged {self._name} body", detail=detail)


_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}


class BodyDecoder:
    """Decodes a body chunk by chunk, in pieces of at most `MAX_PIECE_BYTES`."""

    def __init__(self, codings: Sequence[str]) -> None:
        """``codings`` are in the order in which they were applied."""
        self._codings = [_Coding(name) for name in reversed(codings)]

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decode a chunk. Raises SourceFailed where it is damaged."""
        yield from self._decode_from(0, data)

    def finish(self) -> Iterator[bytes]:
        """Return the last pieces. Raises SourceFailed where the end of the body is missing."""
        for at, coding in enumerate(self._codings):
            for piece in coding.finish():
                yield from self._decode_from(at + 1, piece)

    def _decode_from(self, at: int, data: bytes) -> Iterator[bytes]:
        if at == len(self._codings):
            yield data
            return
        for piece in self._codings[at].decode(data):
            yield from self._decode_from(at + 1, piece)


def open_decoder(content_encoding: str) -> BodyDecoder | None:
    """Return a decoder for a body with this header; None where nothing is to be decoded.

    Raises SourceFailed for more than three codings, and for `compress`.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    if "compress" in names or "x-compress" in names:
        raise SourceFailed("source sent a compress body, which is not supported")
    codings = [_NAMES[name] for name in names if name in _NAMES]
    if len(codings) > _MAX_CODINGS:
        raise SourceFailed(f"source sent a body with more than {_MAX_CODINGS} codings")
    return BodyDecoder(codings) if codings else None
