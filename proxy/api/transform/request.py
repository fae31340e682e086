"""What a body of the transform face asks for: a file, operations, and perhaps a webhook.

Everything that can be told from the JSON alone is told here. Values are looked at one by one, and
only as large as they may be: a generic reading of tens of megabytes would take many times as many.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from proxy.api.http import request_body
from proxy.api.http.base64 import decode_base64
from proxy.errors import (
    InvalidOperation,
    InvalidSource,
    InvalidUpload,
    RequestError,
    SourceTooLarge,
)
from proxy.image_request import ImageRequest
from proxy.operations.plan import Operation, OperationRegistry, Plan, short_names
from proxy.originals import OriginalRef, SourceRef, Upload
from proxy.sources.net.request_headers import forwardable_headers
from proxy.sources.net.url import parse_url

_MOST_OPERATIONS_BYTES = 262_144
_MOST_OPTIONS_BYTES = 65_536
_LEAST_TIMEOUT, _MOST_TIMEOUT = 1000, 60_000
_LONGEST_AGENT = 500

# Fields that the API's own description requires, though our operations could do without them.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "resize": ("width_in_px", "height_in_px", "fit"),
    "extend": ("top_in_px", "bottom_in_px", "left_in_px", "right_in_px", "hex_color"),
    "trim": ("threshold",),
    "sharpen": ("sigma",),
    "denoise": ("size",),
    "remove_transparency": ("hex_color",),
    "threshold": ("value", "is_grayscale"),
    "upscale": ("factor",),
}
_COLOURS = ("hex_color", "background_hex_color", "background")


class BadColour(InvalidOperation):
    """A colour that is none: the API's description tells it apart from other bad values."""


class BadWish(RequestError):
    """The body is not what the API takes; ``field`` names the member."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Wish(Struct, frozen=True):
    job: ImageRequest
    webhook: str = ""


class _Body(Struct):
    file: Raw = Raw(b"")
    operations: Raw = Raw(b"")
    webhook_url: Raw = Raw(b"null")


class _File(Struct):
    type: str | None = None
    url: str | None = None
    base64: Raw = Raw(b"null")
    fetch_options: Raw = Raw(b"null")


class _FetchOptions(Struct):
    auth: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    locale: str | None = None
    timeout_ms: int | None = None
    user_agent: str | None = None


class Reader:
    """Reads bodies. ``file_bytes`` is the largest file that may come in one."""

    def __init__(
        self,
        catalogue: OperationRegistry,
        *,
        file_bytes: int,
        allow_http: bool,
        allow_http_webhooks: bool,
    ) -> None:
        self._catalogue = catalogue
        self._file_bytes = file_bytes
        self._allow_http = allow_http
        self._allow_http_webhooks = allow_http_webhooks

    def read(self, body: bytes) -> Wish:
        """Raises a RequestError, or SourceTooLarge."""
        wish = request_body.json(body, _Body, BadWish)
        for name in ("file", "operations"):
            if not memoryview(getattr(wish, name)):
                raise BadWish(f"Missing required field: {name}", name)
        plan = self._plan(wish.operations)
        webhook = self._webhook(wish.webhook_url)
        return Wish(ImageRequest(self._source(wish.file), plan), webhook)

    def _plan(self, raw: Raw) -> Plan:
        if len(memoryview(raw)) > _MOST_OPERATIONS_BYTES:
            raise BadWish(f"operations has more than {_MOST_OPERATIONS_BYTES} bytes", "operations")
        steps = request_body.json(raw, object, BadWish)
        if not isinstance(steps, list) or not steps:
            raise BadWish("operations must be a list of 1 or more", "operations")
        self._catalogue.check_count(len(steps))
        return Plan(tuple(self._operation(at, step) for at, step in enumerate(steps)))

    def _operation(self, at: int, step: object) -> Operation:
        """The operation, without members that it does not know, or that are null."""
        name = step.get("type") if isinstance(step, dict) else None
        if isinstance(step, dict) and isinstance(name, str) and name in self._catalogue.operations:
            kind = self._catalogue.operations[name]
            other = short_names(kind)
            known = {*kind.__struct_fields__, *other, "type"}
            step = {key: value for key, value in step.items() if key in known and value is not None}
            for field in _REQUIRED.get(name, ()):
                if not any(other.get(key, key) == field for key in step):
                    raise InvalidOperation(
                        f"operations[{at}].{field} is missing", operation=at, field=field
                    )
        try:
            return self._catalogue.plan([step]).operations[0]
        except InvalidOperation as error:
            sentence = str(error).replace("operations[0]", f"operations[{at}]", 1)
            given = isinstance(step, dict) and error.field in _true_names(step, self._catalogue)
            bad = BadColour if given and error.field in _COLOURS else InvalidOperation
            raise bad(sentence, operation=at, field=error.field) from error

    def _webhook(self, raw: Raw) -> str:
        url = request_body.json(raw, object, BadWish)
        if url is None:
            return ""
        if not isinstance(url, str):
            raise BadWish("webhook_url must be a string", "webhook_url")
        return self._checked(url, "webhook_url", allow_http=self._allow_http_webhooks)

    def _source(self, raw: Raw) -> OriginalRef:
        file = request_body.json(raw, _File, lambda sentence: BadWish(f"file: {sentence}", "file"))
        inline = not _is_null(file.base64)
        kind = file.type or ("base64" if inline else "url")
        if kind == "base64":
            if not inline:
                raise BadWish("Missing required field: file.base64", "file.base64")
            return self._upload(file.base64)
        if kind != "url":
            raise BadWish('file.type must be "url" or "base64"', "file.type")
        if file.url is None:
            raise BadWish("Missing required field: file.url", "file.url")
        url = self._checked(file.url, "file.url", allow_http=self._allow_http)
        return _with_options(url, file.fetch_options)

    def _upload(self, raw: Raw) -> Upload:
        text = memoryview(raw)
        if text[0] != ord('"'):
            raise BadWish("file.base64 must be a string", "file.base64")
        try:
            data = decode_base64(text[1:-1])
        except InvalidUpload:
            data = _unescaped(raw)
        if len(data) > self._file_bytes:
            raise SourceTooLarge(f"the file has more than {self._file_bytes} bytes")
        upload = Upload(data)
        _ = upload.digest  # worked out here, since this is not the loop's thread
        return upload

    def _checked(self, url: str, field: str, *, allow_http: bool) -> str:
        try:
            scheme = parse_url(url).scheme
        except InvalidSource as error:
            raise BadWish(f"{field}: {error}", field) from error
        if scheme == "http" and not allow_http:
            raise BadWish(f"{field} must be an https:// URL", field)
        return url


def _true_names(step: Mapping[str, Any], catalogue: OperationRegistry) -> set[str]:
    kind = catalogue.operations.get(str(step.get("type")))
    other = short_names(kind) if kind else {}
    return {other.get(key, key) for key in step}


def _is_null(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:5]) == b"null"


def _unescaped(raw: Raw) -> bytes:
    """The bytes, where the encoder of the JSON wrote / or a line break in another way."""
    try:
        return decode_base64(request_body.json(raw, str, BadWish).encode("utf-8", "replace"))
    except InvalidUpload as error:
        raise BadWish("file.base64 is not base64", "file.base64") from error


def _with_options(url: str, raw: Raw) -> SourceRef:
    if _is_null(raw):
        return SourceRef(url)
    field = "file.fetch_options"
    if len(memoryview(raw)) > _MOST_OPTIONS_BYTES:
        raise BadWish(f"{field} has more than {_MOST_OPTIONS_BYTES} bytes", field)
    options = request_body.json(raw, _FetchOptions, lambda said: BadWish(f"{field}.{said}", field))
    headers = [*(options.headers or {}).items(), *_authorization(options.auth)]
    if options.locale is not None:
        headers.append(("accept-language", options.locale))
    if options.user_agent is not None:
        if not 1 <= len(options.user_agent) <= _LONGEST_AGENT:
            raise BadWish(f"{field}.user_agent has 1 to {_LONGEST_AGENT} characters", field)
        headers.append(("user-agent", options.user_agent))
    seconds = None
    if options.timeout_ms is not None:
        if not _LEAST_TIMEOUT <= options.timeout_ms <= _MOST_TIMEOUT:
            raise BadWish(f"{field}.timeout_ms is {_LEAST_TIMEOUT} to {_MOST_TIMEOUT}", field)
        seconds = options.timeout_ms / 1000
    try:
        return SourceRef(url, headers=forwardable_headers(headers), timeout_seconds=seconds)
    except InvalidSource as error:
        raise BadWish(f"{field}: {error}", field) from error


def _authorization(auth: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    match auth:
        case None:
            return []
        case {"type": "bearer", "token": str(token)}:
            return [("authorization", f"Bearer {token}")]
        case {"type": "basic", "username": str(user), "password": str(password)}:
            return [("authorization", f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")]
        case {"type": "custom_header", "name": str(name), "value": str(value)}:
            return [(name, value)]
        case _:
            field = "file.fetch_options.auth"
            raise BadWish(
                f"{field} is bearer with token, basic with username and password, or "
                "custom_header with name and value",
                field,
            )
