"""Request bodies, bounded while they are read: a length may be missing, or told wrong."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from proxy.api.http.disconnect import CallerLeft
from proxy.api.http.problems import Headers
from proxy.errors import InvalidUpload, SourceTooLarge

T = TypeVar("T")


class Heard:
    """A request's ``receive`` that remembers whether the body came to its end.

    Who is refused half-way is not listened to any more: the connection ends with the answer.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.to_the_end = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.to_the_end = True
        return message

    def parting(self) -> Headers:
        return [] if self.to_the_end else [(b"connection", b"close")]


async def read(request: Request, most: int) -> bytes:
    """The body, of at most that many bytes.

    Raises:
        BadUpload: it is encoded; a few bytes could stand for very many.
        SourceTooLarge: as soon as it is known, with the rest left unread.
        CallerLeft: the body broke off.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidUpload("a body with a content encoding is not accepted")
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and (len(told) > 18 or int(told) > most):
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            chunks.append(chunk)
    except ClientDisconnect:
        raise CallerLeft from None
    return b"".join(chunks)


def json(body: bytes | msgspec.Raw, kind: type[T], said: Callable[[str], Exception]) -> T:
    """The body as a value of that type; ``said`` makes the error of a sentence.

    Give a type that skips what it does not know: a generic value of many megabytes of JSON takes
    many times the memory.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise said(_sentence(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise said("the body is not JSON") from error
    except RecursionError as error:
        raise said("the body is nested too deeply") from error


def _sentence(error: msgspec.ValidationError) -> str:
    """Msgspec's sentence with the place in front: ``file.url: expected `str`, got `int```."""
    what, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").removeprefix(".")
    what = what[:1].lower() + what[1:]
    return f"{place}: {what}" if place else what


def _too_large(most: int) -> SourceTooLarge:
    return SourceTooLarge(f"the body has more than {most} bytes")
