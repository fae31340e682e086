"""What both Azure APIs share: keys, request bodies, image limits and error bodies."""

import asyncio
import codecs
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl
from uuid import uuid4

from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from proxy.api.http.api_keys import ApiKeys, bearer_token
from proxy.api.http.multipart import extract_file
from proxy.api.http.problems import error_headers, html_safe_json
from proxy.api.http.request_body import decode_json, read_body
from proxy.api.http.routing import collapse_slashes
from proxy.api.http.uploads import UploadRoom
from proxy.errors import (
    ImageTooLarge,
    ImageTooSmall,
    InvalidSource,
    InvalidUpload,
    NotAnImage,
    SourceTooLarge,
)
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.headers import ImageHeader
from proxy.imaging.results import Detection
from proxy.originals import OriginalRef, SourceRef, Upload
from proxy.render.inspector import ProbeResult
from proxy.service import ImageResult

MIN_SIDE, MAX_SIDE = 50, 16_000

_MAX_JSON_BYTES = 65_536
_MAX_FORM_OVERHEAD = 65_536  # bytes of a form beside its image
_MAX_PARAMETERS = 64


class AzureConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The APIs that are compatible with Azure."""

    vision_max_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description=(
                "Bytes of the largest image that the Computer Vision API accepts. Larger "
                "images are answered with 400."
            ),
        ),
    ] = 4_194_304

    analysis_max_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description=(
                "Bytes of the largest image that the Image Analysis API accepts. Larger images are "
                "answered with 400."
            ),
        ),
    ] = 20_971_520

    zoom_small_thumbnails: Annotated[
        bool,
        Meta(
            description=(
                "Zoom in on a small subject in smart-cropped thumbnails with a mean side below 256 "
                "pixels. When false, thumbnails keep as much of the image as possible. The Image "
                "Analysis API returns boxes without a size and never zooms."
            )
        ),
    ] = True

    allow_all_formats: Annotated[
        bool,
        Meta(
            description=(
                "Accept all image formats that Framekeep reads. When false, only the formats "
                "of the original Azure APIs are accepted."
            )
        ),
    ] = False


class ImageAnalyzer(Protocol):
    """Raises a ProxyError where there can be no result."""

    async def get_or_render(self, request: ImageRequest) -> ImageResult: ...
    async def detect(
        self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()
    ) -> Detection: ...
    async def probe(self, source: OriginalRef) -> ProbeResult: ...


class AzureError(HTTPException):
    """An error as Azure reports it; ``inner`` is the code of ``innererror``, if there is one.

    ``details`` are the codes and messages of several errors in one.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        inner: str = "",
        inner_message: str = "",
        *,
        details: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(status, message)
        self.code = code
        self.inner = inner
        self.inner_message = inner_message or message
        self.details = details

    def nested(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.detail}
        if self.details:
            error["details"] = [
                {"code": code, "message": message} for code, message in self.details
            ]
        if self.inner:
            error["innererror"] = {"code": self.inner, "message": self.inner_message}
        return {"error": error}


class UnsupportedContentType(HTTPException):
    """The body is not of a supported type; ``detail`` is its type."""

    def __init__(self, content_type: str) -> None:
        super().__init__(415, content_type)


class ErrorFields(NamedTuple):
    """What Azure reports of a class of errors; without a message, the error's own."""

    status: int
    code: str
    message: str = ""
    inner: str = ""


ErrorTable = Mapping[type[Exception], ErrorFields]
"""Azure's fields for each class of errors and its subclasses."""


def not_found() -> AzureError:
    return AzureError(404, "404", "Resource not found")


def to_azure_error(error: Exception, table: ErrorTable) -> AzureError:
    if isinstance(error, AzureError):
        return error
    if isinstance(error, HTTPException) and error.status_code in (404, 405):
        return not_found()
    fields = next(table[kind] for kind in type(error).__mro__ if kind in table)
    return AzureError(fields.status, fields.code, fields.message or str(error), fields.inner)


def azure_error_headers(error: Exception) -> dict[str, str]:
    """Return Retry-After where it helps; a wrong method, sent as 404, has no Allow."""
    return {} if isinstance(error, HTTPException) else error_headers(error)


def new_request_id(_: Mapping[bytes, bytes]) -> str:
    return str(uuid4())


def respond(
    request: Request,
    body: bytes,
    media_type: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build a response with the headers that every Azure response has."""
    common = {
        "content-type": media_type,
        "apim-request-id": request.state.request_id,
        "x-content-type-options": "nosniff",
    }
    return Response(body, status, common | dict(headers or {}))


def json_response(
    request: Request, value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    body = html_safe_json(value)
    return respond(request, body, "application/json; charset=utf-8", status, headers)


def normalize_path(path: str) -> str:
    """Return the path in lower case, without repeated slashes and a slash at the end."""
    return collapse_slashes(path.lower())


def query_params(request: Request, lists: Collection[str] = ()) -> dict[str, str]:
    """Return the query by lower-case name.

    Of equal names, the first counts; those of ``lists`` are joined with commas, as Azure does.
    """
    query = request.scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        message = f"The query has more than {_MAX_PARAMETERS} parameters."
        raise AzureError(400, "InvalidRequest", message, "BadArgument") from error
    values: dict[str, str] = {}
    for name, value in ((name.lower(), value) for name, value in pairs):
        if name not in values:
            values[name] = value
        elif name in lists:
            values[name] += f",{value}"
    return values


def authorize(request: Request, keys: ApiKeys, query: Mapping[str, str]) -> str:
    """Return the client of the call; see `ApiKeys.client`.

    Raises AzureError (401) unless one of the places for a key has a valid one.
    """
    key = (
        request.headers.get("ocp-apim-subscription-key")
        or query.get("subscription-key")
        or bearer_token(request.headers.get("authorization"))
    )
    if not keys.verify(key):
        raise AzureError(
            401,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to "
            "provide a valid key for an active subscription and use a correct regional API "
            "endpoint for your resource.",
        )
    return keys.client(key, request.client.host if request.client else "")


async def read_source(request: Request, max_bytes: int, room: UploadRoom) -> OriginalRef:
    """Return the image that the body is (octets), holds (a form) or names (JSON with a URL).

    Raises:
        UnsupportedContentType: the body is none of the three.
        InvalidSource, InvalidUpload, NotAnImage, SourceTooLarge: it has no usable image.
    """
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    match media_type:
        case "application/json":
            return SourceRef(_url(await read_body(request, _MAX_JSON_BYTES)))
        case "application/octet-stream":
            return Upload(await room.receive(request, max_bytes))
        case "multipart/form-data":
            form = await room.receive(request, max_bytes + _MAX_FORM_OVERHEAD)
            try:
                image = await asyncio.to_thread(extract_file, form.read(), content_type)
            except InvalidUpload as error:
                raise NotAnImage(str(error)) from error
            if len(image) > max_bytes:
                raise _too_large(max_bytes)
            return Upload(await room.store(image))
        case _:
            raise UnsupportedContentType(media_type)


class _UrlBody(Struct):
    url: Any = None


_LENIENT_URL_BODY = re.compile(
    rb"""\s*\{\s* (?:'url'|"url"|url) \s*:\s* (?:'([^'"\\]+)'|"([^'"\\]+)") \s*,?\s*\}\s*""",
    re.VERBOSE | re.IGNORECASE,
)
"""JSON as Azure's parser takes it and its quickstarts send it, ``{'url':'https://…'}``."""


def _url(body: bytes) -> str:
    body = body.removeprefix(codecs.BOM_UTF8)
    lenient = _LENIENT_URL_BODY.fullmatch(body)
    url: Any
    if lenient is not None:
        url = (lenient[1] or lenient[2]).decode("utf-8", "replace")
    else:
        url = decode_json(body, _UrlBody, InvalidUpload).url
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        raise InvalidSource("url is not an http:// or https:// URL")
    return url


def validate(
    probed: ProbeResult, max_bytes: int, allowed_formats: frozenset[str] | None
) -> ImageHeader:
    """Return the header of an image within the limits; None allows every format.

    Raises SourceTooLarge, NotAnImage, ImageTooSmall or ImageTooLarge.
    """
    header = probed.header
    if probed.length > max_bytes:
        raise _too_large(max_bytes)
    if allowed_formats is not None and header.format not in allowed_formats:
        raise NotAnImage(f"image format {header.format} is not one of {sorted(allowed_formats)}")
    if min(header.width, header.height) < MIN_SIDE:
        raise ImageTooSmall(f"image has a side of less than {MIN_SIDE} pixels")
    if max(header.width, header.height) > MAX_SIDE:
        raise ImageTooLarge(f"image has a side of more than {MAX_SIDE} pixels")
    return header


def _too_large(max_bytes: int) -> SourceTooLarge:
    return SourceTooLarge(f"image has more than {max_bytes} bytes")
