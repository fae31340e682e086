"""Read and decode request bodies; the size is bounded while reading, as lengths may lie."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from proxy.api.http.disconnect import ClientDisconnected
from proxy.api.http.headers import list_header
from proxy.buffers import Buffer
from proxy.errors import InvalidUpload, SourceTooLarge
from proxy.validation import explain_error

T = TypeVar("T")


def announced_length(request: Request) -> int | None:
    """Return the length of the body by its header; None where there is none that makes sense."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read the whole body into memory. Raises the errors of `stream_body`."""
    return b"".join([chunk async for chunk in stream_body(request, max_bytes)])


async def stream_body(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """Read the body as it arrives.

    Raises:
        InvalidUpload: the body is compressed; a few bytes could stand for very many.
        SourceTooLarge: it has more than ``max_bytes``; the rest is left unread.
        ClientDisconnected: the client closed the connection before the end.
    """
    encoding = list_header(request, "content-encoding").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidUpload("Content-Encoding is not supported for request bodies")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > max_bytes):
        raise _too_large(max_bytes)
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            yield chunk
    except ClientDisconnect:
        raise ClientDisconnected from None


def decode_json(
    body: Buffer | msgspec.Raw, type: type[T], make_error: Callable[[str], Exception]
) -> T:
    """Decode a value of a type, or raise the error that ``make_error`` makes of a message.

    Use a type that skips unknown members: many megabytes of JSON as generic values take many times
    the memory.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise make_error(_explain(error, type)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise make_error("body is not valid JSON") from error
    except RecursionError as error:
        raise make_error("body is nested too deeply") from error


def _explain(error: msgspec.ValidationError, kind: object) -> str:
    """Say what is wrong and where: ``file.url: must be text, not a whole number``."""
    reason, path = explain_error(error, kind)
    return f"{path}: {reason}" if path else reason


def _too_large(max_bytes: int) -> SourceTooLarge:
    return SourceTooLarge(f"body has more than {max_bytes} bytes")
