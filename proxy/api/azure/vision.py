"""Azure Computer Vision 3.2 and its older spellings: generateThumbnail and areaOfInterest."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from proxy import errors
from proxy.api.azure import common
from proxy.api.azure.common import AzureConfig, Refusal, Service, Told
from proxy.api.http.accept import preferred
from proxy.api.http.api_keys import Keys
from proxy.api.http.disconnect import unless_left
from proxy.api.http.upload_budget import Room
from proxy.formats import FORMATS
from proxy.image_request import ImageRequest
from proxy.operations.convert import Convert
from proxy.operations.page import Page
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize
from proxy.operations.smart_crop import SmartCrop
from proxy.smartcrop.area_of_interest import area_of_interest

PREFIX = "/vision/"

LONGEST_SIDE = 1024
MODELS = ("2021-04-01", "2021-05-01")
TAKEN = frozenset(("jpeg", "png", "gif", "bmp"))
QUALITY = 87

_PATH = re.compile(r"/vision/v(1\.0|2\.0|2\.1|3\.0|3\.1|3\.2)/(generatethumbnail|areaofinterest)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_MODEL = re.compile(r"(latest|[0-9]{4}-[0-9]{2}-[0-9]{2})(-preview)?", re.ASCII)

# For each failure the status, the code, the inner code, and the message where it is not its own.
_TABLE: Mapping[type[Exception], tuple[int, str, str, str]] = {
    Exception: (500, "InternalServerError", "InternalServerError", "Something went wrong."),
    errors.ProxyError: (500, "InternalServerError", "FailedToProcess", ""),
    errors.RequestError: (400, "InvalidRequest", "BadArgument", ""),
    errors.InvalidSource: (
        400,
        "InvalidRequest",
        "InvalidImageUrl",
        "Image URL is badly formatted.",
    ),
    errors.SourceError: (400, "InvalidRequest", "InvalidImageUrl", "Image URL is not accessible."),
    errors.SourceTooLarge: (400, "InvalidRequest", "InvalidImageSize", "Input image is too large."),
    errors.ImageError: (400, "InvalidRequest", "NotSupportedImage", ""),
    errors.ImageTooLarge: (400, "InvalidRequest", "InvalidImageSize", "Input image is too large."),
    errors.ImageTooSmall: (
        *(400, "InvalidRequest", "InvalidImageSize"),
        "Image must be at least 50 pixels in width and height",
    ),
    errors.NotAnImage: (
        *(400, "InvalidRequest", "InvalidImageFormat"),
        "Input data is not a valid image.",
    ),
    errors.BrokenImage: (
        *(400, "InvalidRequest", "InvalidImageFormat"),
        "Input data is not a valid image.",
    ),
    errors.DeadlineExceeded: (500, "InternalServerError", "Timeout", "Image processing timed out."),
    errors.Overloaded: (503, "ServiceUnavailable", "", ""),
    common.UnsupportedContent: (
        *(415, "InvalidRequest", "UnsupportedMediaType"),
        "The body must be application/json, application/octet-stream or multipart/form-data.",
    ),
}


class AzureVision:
    def __init__(self, service: Service, keys: Keys, limits: AzureConfig, room: Room) -> None:
        self._service = service
        self._keys = keys
        self._room = room
        self._most = limits.vision_max_bytes
        self._formats = None if limits.allow_all_formats else TAKEN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _PATH.fullmatch(common.canonical(scope["path"]))
        version, call = path.groups() if path else ("3.2", "")
        name = common.new_name()

        async def answer(request: Request) -> Told:
            if not call or (version, call) == ("1.0", "areaofinterest") or request.method != "POST":
                raise common.NOT_FOUND
            query = common.parameters(request)
            common.admit(request, self._keys, query)
            model = _model(query.get("model-version")) if version == "3.2" else ""
            wish = _wish(query) if call == "generatethumbnail" else None
            async with self._room.taken(request, self._most):
                if wish is None:
                    return await self._area(request, name, model)
                return await self._thumbnail(request, wish)

        def refused(error: Exception, name: str) -> Told:
            return _refused(error, name, flat=version != "3.2")

        await common.serve(scope, receive, send, answer=answer, refused=refused, name=name)

    async def _thumbnail(self, request: Request, crop: SmartCrop | Resize) -> Told:
        source = await common.source(request, self._most)
        examined = await unless_left(request.receive, self._service.probe(source))
        header = common.check(examined, self._most, self._formats)
        wanted = preferred(
            request.headers.get("accept", ""), ("image/jpeg", "image/png", "image/webp")
        )
        first = (Page(1),) if header.frames > 1 else ()
        job = ImageRequest(
            source, Plan((*first, crop, Convert(_KINDS.get(wanted, "auto"), QUALITY)))
        )
        answer = await unless_left(request.receive, self._service.get_or_render(job))
        media_type = FORMATS[answer.rendition.format].media_type
        return 200, [(b"content-type", media_type.encode())], answer.rendition.body

    async def _area(self, request: Request, name: str, model: str) -> Told:
        source = await common.source(request, self._most)
        examined = await unless_left(request.receive, self._service.probe(source))
        header = common.check(examined, self._most, self._formats)
        seen = await unless_left(request.receive, self._service.detect(source))
        area = area_of_interest(seen.focus, seen.size)
        body: dict[str, Any] = {
            "areaOfInterest": {"x": area.left, "y": area.top, "w": area.width, "h": area.height},
            "requestId": name,
            "metadata": {
                "width": seen.size.width,
                "height": seen.size.height,
                "format": header.format.capitalize(),
            },
        }
        if model:
            body["modelVersion"] = model
        return common.in_json(200, body)


_KINDS: Mapping[str, Literal["jpeg", "png", "webp"]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
}


def _wish(query: Mapping[str, str]) -> SmartCrop | Resize:
    width, height = _side(query, "width"), _side(query, "height")
    smart = _switch(query, "smartcropping")
    return SmartCrop(width, height) if smart else Resize(width, height, "cover")


def _side(query: Mapping[str, str], name: str) -> int:
    text = query.get(name)
    if text is None or not _INTEGER.fullmatch(text):
        raise _bad(f"'{name}' is required and must be a whole number.")
    if not 1 <= int(text) <= LONGEST_SIDE:
        message = f"'{name}' must be between 1 and {LONGEST_SIDE}."
        raise Refusal(400, "InvalidRequest", message, "InvalidThumbnailSize")
    return int(text)


def _switch(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false").lower()
    if text not in ("true", "false"):
        raise _bad("'smartCropping' must be true or false.")
    return text == "true"


def _model(text: str | None) -> str:
    """The date of the model that is asked for; all of them are one and the same here."""
    match = _MODEL.fullmatch(text or "latest")
    if match is None or match[1] not in ("latest", *MODELS):
        raise _bad("'model-version' is not known.")
    return MODELS[-1] if match[1] == "latest" else match[1]


def _bad(message: str) -> Refusal:
    return Refusal(400, "InvalidRequest", message, "BadArgument")


def _refused(error: Exception, name: str, *, flat: bool) -> Told:
    if isinstance(error, Refusal):
        refusal = error
    else:
        row = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
        status, code, inner, message = row
        refusal = Refusal(status, code, message or str(error), inner)
    if flat and refusal.inner:
        body = {"code": refusal.inner, "requestId": name, "message": refusal.inner_message}
        return common.in_json(refusal.status, body)
    return common.in_json(refusal.status, refusal.nested())
