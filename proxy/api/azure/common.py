"""What both Azure faces share: who may ask, how a picture comes in, how an answer goes out."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qsl
from uuid import uuid4

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from proxy.api.http import multipart, request_body
from proxy.api.http.api_keys import Keys, bearer
from proxy.api.http.disconnect import CallerLeft
from proxy.api.http.problems import Headers, json_bytes
from proxy.errors import (
    ImageTooLarge,
    ImageTooSmall,
    InvalidSource,
    InvalidUpload,
    NotAnImage,
    Overloaded,
    ProxyError,
    SourceTooLarge,
)
from proxy.image_request import ImageRequest
from proxy.imaging.headers import Header
from proxy.imaging.image import Seen
from proxy.originals import OriginalRef, SourceRef, Upload
from proxy.render.inspector import ProbeResult
from proxy.service import ImageResult
from proxy.telemetry import metrics

_log = logging.getLogger(__name__)

LEAST_SIDE, MOST_SIDE = 50, 16_000

_JSON_BYTES = 65_536
_FORM_ROOM = 65_536  # what a form may weigh beside its picture


class AzureConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the Azure faces."""

    vision_max_bytes: Annotated[int, Meta(ge=1)] = 4_194_304
    """Largest picture that the Computer Vision face takes, in bytes."""

    analysis_max_bytes: Annotated[int, Meta(ge=1)] = 20_971_520
    """Largest picture that the Image Analysis face takes, in bytes."""

    allow_all_formats: bool = False
    """Whether all formats read here are taken, and not only those that the original APIs take."""


class Service(Protocol):
    async def get_or_render(self, job: ImageRequest) -> ImageResult: ...
    async def detect(self, source: OriginalRef) -> Seen: ...
    async def probe(self, source: OriginalRef) -> ProbeResult: ...


class Refusal(Exception):
    """What Azure's wire says of a failure; ``inner`` is the code of ``innererror``, if any."""

    def __init__(
        self, status: int, code: str, message: str, inner: str = "", inner_message: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.inner = inner
        self.inner_message = inner_message or message

    def nested(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.inner:
            error["innererror"] = {"code": self.inner, "message": self.inner_message}
        return {"error": error}


class UnsupportedContent(Exception):
    """The body is of no type that is taken; the message is the type."""


NOT_FOUND = Refusal(404, "404", "Resource not found")
NOT_ADMITTED = Refusal(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a "
    "valid key for an active subscription and use a correct regional API endpoint for your "
    "resource.",
)

Told = tuple[int, Headers, bytes]


async def serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    answer: Callable[[Request], Awaitable[Told]],
    refused: Callable[[Exception, str], Told],
    name: str,
) -> None:
    """Answer one request; whatever goes wrong looks as ``refused`` says."""
    heard = request_body.Heard(receive)
    metrics.named(name)
    try:
        status, headers, body = await answer(Request(scope, heard))
    except CallerLeft:
        return
    except Exception as error:  # noqa: BLE001 - the border: whatever happened gets an answer
        metrics.failed(error)
        if not isinstance(error, ProxyError | Refusal | UnsupportedContent):
            _log.error("%s: unforeseen", name, exc_info=error)
        status, headers, body = refused(error, name)
        headers += heard.parting()
        if isinstance(error, Overloaded):
            headers.append((b"retry-after", str(error.retry_after).encode()))
    headers += (
        (b"apim-request-id", name.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(body)).encode()),
    )
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def new_name() -> str:
    """A request's name, as a GUID."""
    return str(uuid4())


def in_json(status: int, value: object, *headers: tuple[bytes, bytes]) -> Told:
    return (
        status,
        [(b"content-type", b"application/json; charset=utf-8"), *headers],
        json_bytes(value),
    )


def canonical(path: str) -> str:
    """The path in small letters, without slashes at the end or in a row."""
    return "/" + "/".join(part for part in path.lower().split("/") if part)


def parameters(request: Request) -> dict[str, str]:
    """The query by names in small letters; the first of equal names counts."""
    query = parse_qsl(
        request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=64
    )
    return {name.lower(): value for name, value in reversed(query)}


def admit(request: Request, keys: Keys, query: Mapping[str, str]) -> None:
    """Raises Refusal where none of the places for a key holds a good one."""
    key = (
        request.headers.get("ocp-apim-subscription-key")
        or query.get("subscription-key")
        or bearer(request.headers.get("authorization"))
    )
    if not keys.admit(key):
        raise NOT_ADMITTED


async def source(request: Request, most: int) -> OriginalRef:
    """The picture that the body is, holds or names.

    Raises:
        UnsupportedContent: the body is none of the three.
        BadSource, BadUpload, NotAnImage, SourceTooLarge: it is not a good one.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    match kind:
        case "application/json":
            return SourceRef(_url(await request_body.read(request, _JSON_BYTES)))
        case "application/octet-stream":
            return Upload(await request_body.read(request, most))
        case "multipart/form-data":
            form = await request_body.read(request, most + _FORM_ROOM)
            try:
                picture = multipart.file(form, content_type)
            except InvalidUpload as error:
                raise NotAnImage(str(error)) from error
            if len(picture) > most:
                raise SourceTooLarge(f"the picture has more than {most} bytes")
            return Upload(picture)
        case _:
            raise UnsupportedContent(kind)


class _UrlBody(Struct):
    url: Any = None


def _url(body: bytes) -> str:
    url = request_body.json(body, _UrlBody, InvalidUpload).url
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        raise InvalidSource("url is not an http(s) URL")
    return url


def check(examined: ProbeResult, most: int, formats: frozenset[str] | None) -> Header:
    """The header of a picture within the bounds; ``formats`` None takes every format.

    Raises SourceTooLarge, NotAnImage, ImageTooSmall or ImageTooLarge.
    """
    header = examined.header
    if examined.length > most:
        raise SourceTooLarge(f"the picture has more than {most} bytes")
    if formats is not None and header.format not in formats:
        raise NotAnImage(f"{header.format} is not taken here")
    if min(header.width, header.height) < LEAST_SIDE:
        raise ImageTooSmall(f"a side has less than {LEAST_SIDE} pixels")
    if max(header.width, header.height) > MOST_SIDE:
        raise ImageTooLarge(f"a side has more than {MOST_SIDE} pixels")
    return header
