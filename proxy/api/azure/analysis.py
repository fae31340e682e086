"""Azure Image Analysis 4.0: imageanalysis:analyze with smart crops."""

import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from proxy import errors
from proxy.api.azure import common
from proxy.api.azure.common import AzureConfig, Refusal, Service, Told
from proxy.api.http.api_keys import Keys
from proxy.api.http.disconnect import unless_left
from proxy.api.http.upload_budget import Room
from proxy.geometry import Box, Size
from proxy.originals import Upload
from proxy.smartcrop.placement import best_window, place

PREFIX = "/computervision/"

VERSIONS = (
    "2024-02-01",
    "2023-10-01",
    "2023-04-01-preview",
    "2023-02-01",
    "2023-02-01-preview",
    "2022-10-12-preview",
)
MODEL = "2023-10-01"
TAKEN = frozenset(("jpeg", "png", "gif", "bmp", "webp", "ico", "tiff"))
LEAST_RATIO, MOST_RATIO = 0.75, 1.8
MOST_RATIOS = 16

_FINE = 100_000  # ratios are taken as whole numbers over this
_PATH = "/computervision/imageanalysis:analyze"
_CROPS = "smartcrops"
_OTHERS = ("Tags", "Caption", "DenseCaptions", "Objects", "Read", "People")
_LANGUAGE = re.compile(
    "ar|az|bg|bs|ca|cs|cy|da|de|el|en|es|et|eu|fi|fr|ga|gl|he|hi|hr|hu|id|it|ja|kk|ko|lt|lv|mk|ms|"
    "nb|nl|pl|prs|pt(-br|-pt)?|ro|ru|sk|sl|sr-(cyrl|latn)|sv|th|tr|uk|vi|zh(-hans|-hant)?"
)
_NUMBER = re.compile(r"\+?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")
_MODEL = re.compile(r"(latest|[0-9]{4}-[0-9]{2}-[0-9]{2})(-preview)?", re.ASCII)

_QUERY = "Analyze query is invalid."
_URL = "The provided image url is not accessible."
_FORMAT = (400, "InvalidRequest", "Image format is not valid.", "InvalidImageFormat")
_SIDES = (
    f"The image dimension is not allowed to be smaller than {common.LEAST_SIDE} and larger than "
    f"{common.MOST_SIDE}."
)

# For each failure the status, the code, the message where it is not its own, and the inner code.
_TABLE: Mapping[type[Exception], tuple[int, str, str, str]] = {
    Exception: (500, "InternalServerError", "Something went wrong.", ""),
    errors.ProxyError: (500, "InternalServerError", "", "FailedToProcess"),
    errors.RequestError: (400, "InvalidRequest", "", "BadArgument"),
    errors.InvalidSource: (
        *(400, "InvalidRequest"),
        *("Image URL is badly formatted or not accessible", ""),
    ),
    errors.SourceError: (400, "InvalidRequest", _URL, ""),
    errors.ImageError: _FORMAT,
    errors.ImageTooLarge: (400, "InvalidRequest", _SIDES, ""),
    errors.ImageTooSmall: (400, "InvalidRequest", _SIDES, ""),
    errors.DeadlineExceeded: (500, "InternalServerError", "Image processing timed out.", "Timeout"),
    errors.Overloaded: (503, "ServiceUnavailable", "", ""),
}


class AzureAnalysis:
    def __init__(self, service: Service, keys: Keys, limits: AzureConfig, room: Room) -> None:
        self._service = service
        self._keys = keys
        self._room = room
        self._most = limits.analysis_max_bytes
        self._formats = None if limits.allow_all_formats else TAKEN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = common.new_name()
        await common.serve(
            scope, receive, send, answer=self._answer, refused=self._refused, name=name
        )

    async def _answer(self, request: Request) -> Told:
        query = common.parameters(request)
        if common.canonical(request.scope["path"]) != _PATH or request.method != "POST":
            raise common.NOT_FOUND
        if query.get("api-version", "").lower() not in VERSIONS:
            raise common.NOT_FOUND
        common.admit(request, self._keys, query)
        _check_features(query)
        _check_rest(query)
        ratios = _ratios(query.get("smartcrops-aspect-ratios", ""))
        async with self._room.taken(request, self._most):
            return await self._crops(request, ratios)

    async def _crops(self, request: Request, ratios: Sequence[float]) -> Told:
        source = await common.source(request, self._most)
        if isinstance(source, Upload) and not source.body:
            raise self._wrong_size()
        examined = await unless_left(request.receive, self._service.probe(source))
        common.check(examined, self._most, self._formats)
        seen = await unless_left(request.receive, self._service.detect(source))
        if ratios:
            crops = [
                _crop(ratio, place(seen.focus, seen.size, Size(round(ratio * _FINE), _FINE)).box)
                for ratio in ratios
            ]
        else:
            box = best_window(seen.focus, seen.size).box
            crops = [_crop(round(box.width / box.height, 2), box)]
        return common.in_json(
            200,
            {
                "modelVersion": MODEL,
                "metadata": {"width": seen.size.width, "height": seen.size.height},
                "smartCropsResult": {"values": crops},
            },
        )

    def _refused(self, error: Exception, name: str) -> Told:
        refusal = error if isinstance(error, Refusal) else self._refusal(error)
        told = (b"x-ms-error-code", refusal.code.encode())
        return common.in_json(refusal.status, refusal.nested(), told)

    def _refusal(self, error: Exception) -> Refusal:
        match error:
            case common.UnsupportedContent():
                message = f"The provided image content type {error} is not supported."
                return Refusal(400, "InvalidRequest", message)
            case errors.SourceTooLarge():
                return self._wrong_size()
        row = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
        status, code, message, inner = row
        return Refusal(status, code, message or str(error), inner)

    def _wrong_size(self) -> Refusal:
        return Refusal(
            400,
            "InvalidRequest",
            f"The image size is not allowed to be zero or larger than {self._most} bytes.",
        )


def _crop(ratio: float, box: Box) -> dict[str, object]:
    return {
        "aspectRatio": ratio,
        "boundingBox": {"x": box.left, "y": box.top, "w": box.width, "h": box.height},
    }


def _check_features(query: Mapping[str, str]) -> None:
    """Raises Refusal unless smart crops, and they alone, are asked for.

    One feature that is missing fails the whole: a client that reads on after half an answer would
    take nothing for an answer.
    """
    if query.get("model-name"):
        raise common.NOT_FOUND
    features = [name.strip() for name in query.get("features", "").split(",") if name.strip()]
    if not features:
        raise Refusal(
            400,
            "InvalidRequest",
            "Either 'features' or 'model-name' needs to be specified in the query parameter.",
        )
    others = {name.lower(): name for name in _OTHERS}
    for feature in features:
        if feature.lower() not in (_CROPS, *others):
            message = "Specified feature type is not valid"
            raise _invalid("NotSupportedVisualFeature", message)
    for feature in features:
        if feature.lower() in others:
            message = f"The feature '{others[feature.lower()]}' is not supported in this region."
            raise Refusal(400, "InvalidRequest", message, "NotSupportedFeature")


def _check_rest(query: Mapping[str, str]) -> None:
    if not _LANGUAGE.fullmatch(query.get("language", "en").lower()):
        raise _invalid("NotSupportedLanguage", "The input language is not supported")
    if query.get("gender-neutral-caption", "false").lower() not in ("true", "false"):
        raise _invalid("BadArgument", "'gender-neutral-caption' must be true or false")
    if not _MODEL.fullmatch(query.get("model-version", "latest")):
        raise _invalid("BadArgument", "'model-version' is not known")


def _ratios(text: str) -> list[float]:
    if not text.strip():
        return []
    words = [word.strip() for word in text.split(",")]
    if len(words) > MOST_RATIOS:
        raise _invalid("BadArgument", f"'smartcrops-aspect-ratios' has more than {MOST_RATIOS}")
    ratios = [float(word) if _NUMBER.fullmatch(word) else 0.0 for word in words]
    if not all(LEAST_RATIO <= ratio <= MOST_RATIO for ratio in ratios):
        raise _invalid(
            "BadArgument",
            "'smartcrops-aspect-ratios' aspect ratio is not in allowed range "
            f"[{LEAST_RATIO} to {MOST_RATIO}]",
        )
    return ratios


def _invalid(inner: str, message: str) -> Refusal:
    return Refusal(400, "InvalidRequest", _QUERY, inner, message)
