"""Parse and validate the body of a transform request: a file, operations, and maybe a webhook.

Everything that the JSON alone shows is rejected here. Members are decoded one by one, each within
its own size limit: generic values of tens of megabytes of JSON would take many times the memory.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw, Struct

from proxy.api.http.base64 import decode_base64
from proxy.api.http.request_body import decode_json
from proxy.api.http.source_policy import ApiSourcePolicy
from proxy.buffers import Buffer
from proxy.errors import (
    InvalidOperation,
    InvalidSource,
    InvalidUpload,
    RequestError,
    SourceForbidden,
    SourceTooLarge,
)
from proxy.operations.fields import field_aliases
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.originals import SourceRef
from proxy.sources.net.request_headers import forwardable_headers
from proxy.sources.net.url import parse_url
from proxy.text_values import did_you_mean

_MAX_OPERATIONS_BYTES = 262_144
_MAX_FETCH_OPTIONS_BYTES = 65_536
_MIN_TIMEOUT_MS, _MAX_TIMEOUT_MS = 1000, 60_000
_MAX_USER_AGENT_LENGTH = 500
_MAX_EXCERPT = 60
_AUTH_TYPES = ("bearer", "basic", "custom_header")

_DEFAULTS: Mapping[str, Mapping[str, str]] = {"remove_background": {"if_unclear": "keep"}}
"""What this API has instead of the defaults of operations: the vendor's refuses no picture."""

# Fields that the API's own description requires, though our operations could do without them.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "resize": ("width_in_px", "height_in_px", "fit"),
    "crop": ("left_in_px", "top_in_px", "width_in_px", "height_in_px"),
    "smart_crop": ("width_in_px", "height_in_px"),
    "extend": ("top_in_px", "bottom_in_px", "left_in_px", "right_in_px", "hex_color"),
    "trim": ("threshold",),
    "sharpen": ("sigma",),
    "denoise": ("size",),
    "remove_transparency": ("hex_color",),
    "threshold": ("value", "is_grayscale"),
    "upscale": ("factor",),
}
_COLOR_FIELDS = ("hex_color", "background_hex_color", "background")


class InvalidColor(InvalidOperation):
    """A value is not a color; the API's description distinguishes this from other bad values."""


class InvalidTransformRequest(RequestError):
    """The body is not what the API accepts; ``field`` names the member."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TransformRequest(Struct, frozen=True):
    """``file`` is where the original lies, or the original itself."""

    file: SourceRef | bytes
    plan: Plan
    webhook_url: str = ""


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


class TransformRequestParser:
    def __init__(
        self,
        operations: OperationRegistry,
        *,
        max_file_bytes: int,
        source_policy: ApiSourcePolicy,
        webhook_allow_http: bool,
    ) -> None:
        """``max_file_bytes`` bounds a file in the body, once it is decoded.

        ``source_policy`` is for the file and for every source that an operation names.
        """
        self._operations = operations
        self._max_file_bytes = max_file_bytes
        self._source_policy = source_policy
        self._webhook_allow_http = webhook_allow_http

    def parse(self, body: Buffer) -> TransformRequest:
        """Parse a body. Raises a RequestError, or SourceTooLarge."""
        members = decode_json(body, _Body, InvalidTransformRequest)
        for name in ("file", "operations"):
            if not memoryview(getattr(members, name)):
                raise InvalidTransformRequest(f"Missing required field: {name}", name)
        plan = self._plan(members.operations)
        webhook_url = self._parse_webhook_url(members.webhook_url)
        return TransformRequest(self._parse_file(members.file), plan, webhook_url)

    def _plan(self, raw: Raw) -> Plan:
        if len(memoryview(raw)) > _MAX_OPERATIONS_BYTES:
            raise InvalidTransformRequest(
                f"operations has more than {_MAX_OPERATIONS_BYTES} bytes", "operations"
            )
        operations = decode_json(raw, object, InvalidTransformRequest)
        if not isinstance(operations, list) or not operations:
            raise InvalidTransformRequest("operations must be a list of 1 or more", "operations")
        self._operations.check_count(len(operations))
        return Plan(tuple(self._operation(index, value) for index, value in enumerate(operations)))

    def _operation(self, index: int, value: object) -> Operation:
        """Parse an operation without the members that are null, or that it does not have."""
        given: set[str] = set()
        if isinstance(value, dict):
            name = value.get("type")
            kind = self._operations.operations.get(name) if isinstance(name, str) else None
            if kind is not None:
                aliases = field_aliases(kind)
                known = {*kind.__struct_fields__, *aliases, "type"}
                value = {
                    key: member
                    for key, member in value.items()
                    if key in known and member is not None
                }
                given = {aliases.get(key, key) for key in value}
                value = {**_DEFAULTS.get(str(name), {}), **value}
                _check_required(index, str(name), given)
        try:
            operation = self._operations.plan([value]).operations[0]
        except InvalidOperation as error:
            message = str(error).replace("operations[0]", f"operations[{index}]", 1)
            is_color = error.field in _COLOR_FIELDS and error.field in given
            error_type = InvalidColor if is_color else InvalidOperation
            raise error_type(message, operation=index, field=error.field) from error
        self._check_sources(index, operation)
        return operation

    def _check_sources(self, index: int, operation: Operation) -> None:
        for source in operation.extra_sources():
            try:
                self._source_policy.check(source)
            except (InvalidSource, SourceForbidden) as error:
                names = operation.__struct_fields__
                field = next((one for one in names if getattr(operation, one) == source.text), "")
                raise InvalidOperation(
                    f"operations[{index}].{field}: {error}", operation=index, field=field
                ) from error

    def _parse_webhook_url(self, raw: Raw) -> str:
        url = decode_json(raw, object, InvalidTransformRequest)
        if url is None:
            return ""
        if not isinstance(url, str):
            raise InvalidTransformRequest("webhook_url must be text", "webhook_url")
        return _checked_url(url, "webhook_url", allow_http=self._webhook_allow_http)

    def _parse_file(self, raw: Raw) -> SourceRef | bytes:
        file = decode_json(raw, _File, _invalid("file", "file: "))
        has_base64 = not _is_null(file.base64)
        file_type = file.type or ("base64" if has_base64 else "url")
        if file_type == "base64":
            if not has_base64:
                raise InvalidTransformRequest("Missing required field: file.base64", "file.base64")
            return self._decode_file(file.base64)
        if file_type != "url":
            raise InvalidTransformRequest(
                f"file.type must be {_one_of(file_type, ('url', 'base64'))}", "file.type"
            )
        if file.url is None:
            raise InvalidTransformRequest("Missing required field: file.url", "file.url")
        return _with_fetch_options(self._checked_file_url(file.url), file.fetch_options)

    def _checked_file_url(self, url: str) -> str:
        field = "file.url"
        try:
            parse_url(url)  # a file is at a URL, never at an alias
            self._source_policy.check(SourceRef(url))
        except (InvalidSource, SourceForbidden) as error:
            raise InvalidTransformRequest(f"{field}: {error}", field) from error
        return url

    def _decode_file(self, raw: Raw) -> bytes:
        text = memoryview(raw)
        if text[0] != ord('"'):
            raise InvalidTransformRequest("file.base64 must be text", "file.base64")
        try:
            data = decode_base64(text[1:-1])
        except InvalidUpload:
            data = _decode_escaped(raw)
        if len(data) > self._max_file_bytes:
            raise SourceTooLarge(
                f"file has more than {self._max_file_bytes} bytes "
                "(FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES)"
            )
        return data


def _check_required(index: int, operation: str, given: set[str]) -> None:
    for field in _REQUIRED.get(operation, ()):
        if field not in given:
            raise InvalidOperation(
                f"operations[{index}].{field} is missing", operation=index, field=field
            )


def _checked_url(url: str, field: str, *, allow_http: bool) -> str:
    try:
        scheme = parse_url(url).scheme
    except InvalidSource as error:
        raise InvalidTransformRequest(f"{field}: {error}", field) from error
    if scheme == "http" and not allow_http:
        raise InvalidTransformRequest(
            f"{field} must be an https:// URL (FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_HTTP)", field
        )
    return url


def _one_of(word: str, words: Sequence[str]) -> str:
    """Say which words are allowed, which was given, and the nearest."""
    return f"one of {', '.join(words)}, not {word[:_MAX_EXCERPT]!r}{did_you_mean(word, words)}"


def _is_null(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:5]) == b"null"


def _decode_escaped(raw: Raw) -> bytes:
    """Decode base64 whose JSON string has escapes, of slashes or line breaks."""
    try:
        text = decode_json(raw, str, InvalidTransformRequest)
        return decode_base64(text.encode("utf-8", "replace"))
    except InvalidUpload as error:
        raise InvalidTransformRequest("file.base64 is not base64", "file.base64") from error


def _with_fetch_options(url: str, raw: Raw) -> SourceRef:
    if _is_null(raw):
        return SourceRef(url)
    field = "file.fetch_options"
    if len(memoryview(raw)) > _MAX_FETCH_OPTIONS_BYTES:
        raise InvalidTransformRequest(
            f"{field} has more than {_MAX_FETCH_OPTIONS_BYTES} bytes", field
        )
    options = decode_json(raw, _FetchOptions, _invalid(field, f"{field}."))
    headers = [*(options.headers or {}).items(), *_authorization(options.auth)]
    if options.locale is not None:
        headers.append(("accept-language", options.locale))
    if options.user_agent is not None:
        if not 1 <= len(options.user_agent) <= _MAX_USER_AGENT_LENGTH:
            raise InvalidTransformRequest(
                f"{field}.user_agent must have 1 to {_MAX_USER_AGENT_LENGTH} characters", field
            )
        headers.append(("user-agent", options.user_agent))
    timeout_seconds = None
    if options.timeout_ms is not None:
        if not _MIN_TIMEOUT_MS <= options.timeout_ms <= _MAX_TIMEOUT_MS:
            raise InvalidTransformRequest(
                f"{field}.timeout_ms must be {_MIN_TIMEOUT_MS} to {_MAX_TIMEOUT_MS}", field
            )
        timeout_seconds = options.timeout_ms / 1000
    try:
        return SourceRef(url, headers=forwardable_headers(headers), timeout_seconds=timeout_seconds)
    except InvalidSource as error:
        raise InvalidTransformRequest(f"{field}: {error}", field) from error


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
        case {"type": str(kind)} if kind not in _AUTH_TYPES:
            field = "file.fetch_options.auth.type"
            raise InvalidTransformRequest(f"{field} must be {_one_of(kind, _AUTH_TYPES)}", field)
        case _:
            field = "file.fetch_options.auth"
            raise InvalidTransformRequest(
                f"{field} must be bearer with token, basic with username and password, or "
                "custom_header with name and value",
                field,
            )


def _invalid(field: str, prefix: str) -> Callable[[str], InvalidTransformRequest]:
    return lambda message: InvalidTransformRequest(f"{prefix}{message}", field)
