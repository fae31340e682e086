"""Azure Computer Vision 3.2 and its older versions: generateThumbnail and areaOfInterest."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy import errors
from proxy.api.azure.common import (
    AzureConfig,
    AzureError,
    ErrorFields,
    ErrorTable,
    ImageAnalyzer,
    UnsupportedContentType,
    authorize,
    azure_error_headers,
    json_response,
    new_request_id,
    normalize_path,
    not_found,
    query_params,
    read_source,
    respond,
    to_azure_error,
    validate,
)
from proxy.api.context import ApiContext
from proxy.api.http.accept import preferred_media_type
from proxy.api.http.api_keys import ApiKeys
from proxy.api.http.disconnect import cancel_on_disconnect
from proxy.api.http.headers import list_header
from proxy.api.http.routing import api_router
from proxy.api.http.uploads import UploadRoom, Uploads
from proxy.formats import FORMATS
from proxy.image_request import ImageRequest
from proxy.imaging.headers import ImageHeader
from proxy.operations.convert import Convert
from proxy.operations.page import Page
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize
from proxy.operations.smart_crop import SmartCrop
from proxy.originals import OriginalRef

VERSIONS = frozenset(("1.0", "2.0", "2.1", "3.0", "3.1", "3.2"))
MAX_THUMBNAIL_SIDE = 1024
MODEL_VERSIONS = ("2021-04-01", "2021-05-01")
ALLOWED_FORMATS = frozenset(("jpeg", "png", "gif", "bmp"))
QUALITY = 87

_NEWEST = "3.2"  # the only version with models and with nested errors
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_MODEL = re.compile(r"(latest|[0-9]{4}-[0-9]{2}-[0-9]{2})(-preview)?", re.ASCII)

_ERRORS: ErrorTable = {
    Exception: ErrorFields(
        500, "InternalServerError", "Something went wrong.", "InternalServerError"
    ),
    errors.ProxyError: ErrorFields(500, "InternalServerError", inner="FailedToProcess"),
    errors.RequestError: ErrorFields(400, "InvalidRequest", inner="BadArgument"),
    errors.InvalidSource: ErrorFields(
        400, "InvalidRequest", "Image URL is badly formatted.", "InvalidImageUrl"
    ),
    errors.SourceError: ErrorFields(
        400, "InvalidRequest", "Image URL is not accessible.", "InvalidImageUrl"
    ),
    errors.SourceTooLarge: ErrorFields(
        400, "InvalidRequest", "Input image is too large.", "InvalidImageSize"
    ),
    errors.ImageError: ErrorFields(400, "InvalidRequest", inner="NotSupportedImage"),
    errors.ImageTooLarge: ErrorFields(
        400, "InvalidRequest", "Input image is too large.", "InvalidImageSize"
    ),
    errors.ImageTooSmall: ErrorFields(
        400,
        "InvalidRequest",
        "Image must be at least 50 pixels in width and height",
        "InvalidImageSize",
    ),
    errors.NotAnImage: ErrorFields(
        400, "InvalidRequest", "Input data is not a valid image.", "InvalidImageFormat"
    ),
    errors.BrokenImage: ErrorFields(
        400, "InvalidRequest", "Input data is not a valid image.", "InvalidImageFormat"
    ),
    errors.DeadlineExceeded: ErrorFields(
        500, "InternalServerError", "Image processing timed out.", "Timeout"
    ),
    errors.Overloaded: ErrorFields(503, "ServiceUnavailable"),
    UnsupportedContentType: ErrorFields(
        415,
        "InvalidRequest",
        "The body must be application/json, application/octet-stream or multipart/form-data.",
        "UnsupportedMediaType",
    ),
}

_OUTPUT_FORMATS: Mapping[str, Literal["jpeg", "png", "webp"]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
}


def create_api(context: ApiContext) -> ASGIApp:
    config = context.section(AzureConfig)
    return vision_api(context.service, context.keys, config, context.uploads)


def vision_api(
    service: ImageAnalyzer, keys: ApiKeys, config: AzureConfig, uploads: Uploads
) -> ASGIApp:
    endpoints = _VisionEndpoints(service, keys, config, uploads)
    return api_router(
        [
            Route(
                "/vision/v{version}/generatethumbnail",
                endpoints.generate_thumbnail,
                methods=["POST"],
            ),
            Route(
                "/vision/v{version}/areaofinterest", endpoints.area_of_interest, methods=["POST"]
            ),
        ],
        _error_response,
        new_request_id=new_request_id,
        normalize_path=normalize_path,
    )


class _VisionEndpoints:
    def __init__(
        self,
        service: ImageAnalyzer,
        keys: ApiKeys,
        config: AzureConfig,
        uploads: Uploads,
    ) -> None:
        self._service = service
        self._keys = keys
        self._uploads = uploads
        self._max_bytes = config.vision_max_bytes
        self._allowed_formats = None if config.allow_all_formats else ALLOWED_FORMATS
        self._zoom = None if config.zoom_small_thumbnails else 0.0

    async def generate_thumbnail(self, request: Request) -> Response:
        version = _version(request)
        query, client = self._authorize(request)
        if version == _NEWEST:
            _model_version(query)
        crop = _crop(query, self._zoom)
        async with self._uploads.accept(request, client, self._max_bytes) as room:
            source, header = await self._read_image(request, room)
            media_type = preferred_media_type(
                list_header(request, "accept"), tuple(_OUTPUT_FORMATS)
            )
            # PNG where there is transparency, else JPEG, as clients of Azure expect it.
            convert = Convert(_OUTPUT_FORMATS.get(media_type, "auto"), QUALITY, keep_lossless=False)
            first_frame = (Page(1),) if header.frames > 1 else ()
            image_request = ImageRequest(source, Plan((*first_frame, crop, convert)))
            result = await cancel_on_disconnect(
                request.receive, self._service.get_or_render(image_request)
            )
        rendition = result.rendition
        return respond(request, rendition.body, FORMATS[rendition.format].media_type)

    async def area_of_interest(self, request: Request) -> Response:
        version = _version(request)
        if version == "1.0":
            raise not_found()
        query, client = self._authorize(request)
        model_version = _model_version(query) if version == _NEWEST else ""
        async with self._uploads.accept(request, client, self._max_bytes) as room:
            source, header = await self._read_image(request, room)
            detection = await cancel_on_disconnect(request.receive, self._service.detect(source))
        size = detection.size
        area = detection.area_of_interest
        body: dict[str, Any] = {
            "areaOfInterest": {"x": area.left, "y": area.top, "w": area.width, "h": area.height},
            "requestId": request.state.request_id,
            "metadata": {
                "width": size.width,
                "height": size.height,
                "format": header.format.capitalize(),
            },
        }
        if model_version:
            body["modelVersion"] = model_version
        return json_response(request, body)

    def _authorize(self, request: Request) -> tuple[dict[str, str], str]:
        """Return the query and the client of the call."""
        query = query_params(request)
        return query, authorize(request, self._keys, query)

    async def _read_image(
        self, request: Request, room: UploadRoom
    ) -> tuple[OriginalRef, ImageHeader]:
        source = await read_source(request, self._max_bytes, room)
        probed = await cancel_on_disconnect(request.receive, self._service.probe(source))
        return source, validate(probed, self._max_bytes, self._allowed_formats)


def _version(request: Request) -> str:
    version: str = request.path_params["version"]
    if version not in VERSIONS:
        raise not_found()
    return version


def _crop(query: Mapping[str, str], zoom: float | None) -> SmartCrop | Resize:
    width, height = _side(query, "width"), _side(query, "height")
    smart = _boolean(query, "smartcropping")
    return SmartCrop(width, height, zoom=zoom) if smart else Resize(width, height, "cover")


def _side(query: Mapping[str, str], name: str) -> int:
    text = query.get(name)
    if text is None or not _INTEGER.fullmatch(text):
        raise _bad_argument(f"'{name}' is required and must be a whole number.")
    if not 1 <= int(text) <= MAX_THUMBNAIL_SIDE:
        message = f"'{name}' must be between 1 and {MAX_THUMBNAIL_SIDE}."
        raise AzureError(400, "InvalidRequest", message, "InvalidThumbnailSize")
    return int(text)


def _boolean(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false").lower()
    if text not in ("true", "false"):
        raise _bad_argument("'smartCropping' must be true or false.")
    return text == "true"


def _model_version(query: Mapping[str, str]) -> str:
    """Return the date of the requested model; here all of them are the same."""
    match = _MODEL.fullmatch(query.get("model-version", "latest"))
    if match is None or match[1] not in ("latest", *MODEL_VERSIONS):
        raise _bad_argument("'model-version' is not known.")
    return MODEL_VERSIONS[-1] if match[1] == "latest" else match[1]


def _bad_argument(message: str) -> AzureError:
    return AzureError(400, "InvalidRequest", message, "BadArgument")


def _error_response(request: Request, error: Exception) -> Response:
    """Versions before 3.2 report an inner error alone, without what is around it."""
    azure_error = to_azure_error(error, _ERRORS)
    body = azure_error.nested()
    if azure_error.inner and request.path_params.get("version", _NEWEST) != _NEWEST:
        body = {
            "code": azure_error.inner,
            "requestId": request.state.request_id,
            "message": azure_error.inner_message,
        }
    return json_response(request, body, azure_error.status_code, azure_error_headers(error))
