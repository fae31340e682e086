"""Azure Image Analysis 4.0: imageanalysis:analyze with the feature smartCrops."""

import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy import errors
from proxy.api.azure.common import (
    MAX_SIDE,
    MIN_SIDE,
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
    to_azure_error,
    validate,
)
from proxy.api.context import ApiContext
from proxy.api.http.api_keys import ApiKeys
from proxy.api.http.disconnect import cancel_on_disconnect
from proxy.api.http.routing import api_router
from proxy.api.http.uploads import UploadRoom, Uploads
from proxy.geometry import Box, Size
from proxy.imaging.results import Detection
from proxy.originals import Upload

API_VERSIONS = (
    "2024-02-01",
    "2023-10-01",
    "2023-04-01-preview",
    "2023-02-01",
    "2023-02-01-preview",
    "2022-10-12-preview",
)
MODEL_VERSION = "2023-10-01"
ALLOWED_FORMATS = frozenset(("jpeg", "png", "gif", "bmp", "webp", "ico", "tiff"))
MIN_RATIO, MAX_RATIO = 0.75, 1.8
MAX_RATIOS = 16

_RATIO_DENOMINATOR = 100_000  # aspect ratios are whole numbers over this
_SMART_CROPS = "smartcrops"
_UNSUPPORTED_FEATURES = ("Tags", "Caption", "DenseCaptions", "Objects", "Read", "People")
_LANGUAGE = re.compile(
    "ar|az|bg|bs|ca|cs|cy|da|de|el|en|es|et|eu|fi|fr|ga|gl|he|hi|hr|hu|id|it|ja|kk|ko|lt|lv|mk|ms|"
    "nb|nl|pl|prs|pt(-br|-pt)?|ro|ru|sk|sl|sr-(cyrl|latn)|sv|th|tr|uk|vi|zh(-hans|-hant)?"
)
_NUMBER = re.compile(r"\+?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")
_MODEL = re.compile(r"(latest|[0-9]{4}-[0-9]{2}-[0-9]{2})(-preview)?", re.ASCII)

_SIDES = (
    f"The image dimension is not allowed to be smaller than {MIN_SIDE} and larger than {MAX_SIDE}."
)

_ERRORS: ErrorTable = {
    Exception: ErrorFields(500, "InternalServerError", "Something went wrong."),
    errors.ProxyError: ErrorFields(500, "InternalServerError", inner="FailedToProcess"),
    errors.RequestError: ErrorFields(400, "InvalidRequest", inner="BadArgument"),
    errors.InvalidSource: ErrorFields(
        400, "InvalidRequest", "Image URL is badly formatted or not accessible"
    ),
    errors.SourceError: ErrorFields(
        400, "InvalidRequest", "The provided image url is not accessible."
    ),
    errors.ImageError: ErrorFields(
        400, "InvalidRequest", "Image format is not valid.", "InvalidImageFormat"
    ),
    errors.ImageTooLarge: ErrorFields(400, "InvalidRequest", _SIDES),
    errors.ImageTooSmall: ErrorFields(400, "InvalidRequest", _SIDES),
    errors.DeadlineExceeded: ErrorFields(
        500, "InternalServerError", "Image processing timed out.", "Timeout"
    ),
    errors.Overloaded: ErrorFields(503, "ServiceUnavailable"),
}


def create_api(context: ApiContext) -> ASGIApp:
    config = context.section(AzureConfig)
    return analysis_api(context.service, context.keys, config, context.uploads)


def analysis_api(
    service: ImageAnalyzer, keys: ApiKeys, config: AzureConfig, uploads: Uploads
) -> ASGIApp:
    endpoint = _AnalyzeEndpoint(service, keys, config, uploads)
    return api_router(
        [Route("/computervision/imageanalysis:analyze", endpoint.analyze, methods=["POST"])],
        endpoint.error_response,
        new_request_id=new_request_id,
        normalize_path=normalize_path,
    )


class _AnalyzeEndpoint:
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
        self._max_bytes = config.analysis_max_bytes
        self._allowed_formats = None if config.allow_all_formats else ALLOWED_FORMATS

    async def analyze(self, request: Request) -> Response:
        query = query_params(request, lists=("features", "smartcrops-aspect-ratios"))
        if query.get("api-version", "").lower() not in API_VERSIONS:
            raise not_found()
        client = authorize(request, self._keys, query)
        _check_features(query)
        _check_other_parameters(query)
        ratios = _ratios(query.get("smartcrops-aspect-ratios", ""))
        async with self._uploads.accept(request, client, self._max_bytes) as room:
            detection = await self._detect(request, room, ratios)
        return json_response(
            request,
            {
                "modelVersion": MODEL_VERSION,
                "metadata": {"width": detection.size.width, "height": detection.size.height},
                "smartCropsResult": {"values": _crops(detection, ratios)},
            },
        )

    async def _detect(
        self, request: Request, room: UploadRoom, ratios: Sequence[float]
    ) -> Detection:
        source = await read_source(request, self._max_bytes, room)
        if isinstance(source, Upload) and not source.body.size:
            raise self._invalid_size()
        probed = await cancel_on_disconnect(request.receive, self._service.probe(source))
        validate(probed, self._max_bytes, self._allowed_formats)
        shapes = (Size(round(ratio * _RATIO_DENOMINATOR), _RATIO_DENOMINATOR) for ratio in ratios)
        return await cancel_on_disconnect(
            request.receive, self._service.detect(source, tuple(shapes))
        )

    def error_response(self, request: Request, error: Exception) -> Response:
        azure_error = self._azure_error(error)
        headers = {"x-ms-error-code": azure_error.code} | azure_error_headers(error)
        return json_response(request, azure_error.nested(), azure_error.status_code, headers)

    def _azure_error(self, error: Exception) -> AzureError:
        match error:
            case UnsupportedContentType():
                message = f"The provided image content type {error.detail} is not supported."
                return AzureError(400, "InvalidRequest", message)
            case errors.SourceTooLarge():
                return self._invalid_size()
        return to_azure_error(error, _ERRORS)

    def _invalid_size(self) -> AzureError:
        return AzureError(
            400,
            "InvalidRequest",
            f"The image size is not allowed to be zero or larger than {self._max_bytes} bytes.",
        )


def _crops(detection: Detection, ratios: Sequence[float]) -> list[dict[str, object]]:
    """Return the crop of each aspect ratio; without ratios, the one of the subject's own."""
    if not ratios:
        box = detection.best_crop.box
        return [_crop(round(box.width / box.height, 2), box)]
    return [_crop(ratio, crop.box) for ratio, crop in zip(ratios, detection.crops, strict=True)]


def _crop(ratio: float, box: Box) -> dict[str, object]:
    return {
        "aspectRatio": ratio,
        "boundingBox": {"x": box.left, "y": box.top, "w": box.width, "h": box.height},
    }


def _check_features(query: Mapping[str, str]) -> None:
    """Raise AzureError unless smart crops, and only they, are requested.

    One unsupported feature fails the request: a client would take half a result for a whole one.
    """
    if query.get("model-name"):
        raise not_found()
    features = [name.strip() for name in query.get("features", "").split(",") if name.strip()]
    if not features:
        raise AzureError(
            400,
            "InvalidRequest",
            "Either 'features' or 'model-name' needs to be specified in the query parameter.",
        )
    unsupported = {name.lower(): name for name in _UNSUPPORTED_FEATURES}
    for feature in features:
        if feature.lower() not in (_SMART_CROPS, *unsupported):
            raise _invalid_query("NotSupportedVisualFeature", "Specified feature type is not valid")
    requested = {name.lower(): None for name in features if name.lower() in unsupported}
    messages = [
        f"The feature '{unsupported[name]}' is not supported in this region." for name in requested
    ]
    if messages:
        details = [("NotSupportedFeature", message) for message in messages]
        raise AzureError(400, "InvalidRequest", messages[0], "NotSupportedFeature", details=details)


def _check_other_parameters(query: Mapping[str, str]) -> None:
    if not _LANGUAGE.fullmatch(query.get("language", "en").lower()):
        raise _invalid_query("NotSupportedLanguage", "The input language is not supported")
    if query.get("gender-neutral-caption", "false").lower() not in ("true", "false"):
        raise _invalid_query("BadArgument", "'gender-neutral-caption' must be true or false")
    if not _MODEL.fullmatch(query.get("model-version", "latest")):
        raise _invalid_query("BadArgument", "'model-version' is not known")


def _ratios(text: str) -> list[float]:
    numbers = [number.strip() for number in text.removesuffix(",").split(",")]
    if numbers == [""]:
        return []
    if len(numbers) > MAX_RATIOS:
        raise _invalid_query(
            "BadArgument", f"'smartcrops-aspect-ratios' has more than {MAX_RATIOS}"
        )
    ratios = [float(number) if _NUMBER.fullmatch(number) else 0.0 for number in numbers]
    if not all(MIN_RATIO <= ratio <= MAX_RATIO for ratio in ratios):
        raise _invalid_query(
            "BadArgument",
            "'smartcrops-aspect-ratios' aspect ratio is not in allowed range "
            f"[{MIN_RATIO} to {MAX_RATIO}]",
        )
    return ratios


def _invalid_query(inner: str, message: str) -> AzureError:
    return AzureError(400, "InvalidRequest", "Analyze query is invalid.", inner, message)
