"""Translate thumbor's configuration file, which is Python: it is read, and never executed."""

import ast
import re
from collections.abc import Callable, Mapping

from proxy.cli.migrations.migration import Migration
from proxy.cli.migrations.thumbor_unsupported import REASONS
from proxy.errors import ConfigError

Rule = Callable[[Migration, str, object], None]
"""Carries over a setting, given its name and value. Raises ValueError or TypeError."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9.-]+")
_HOST_PATTERN = re.compile(r"\^?(?:https?\??:?//)?\.[*+](?:\\?\.)((?:[A-Za-z0-9-]|\\?\.)+)\$?")
_UNREADABLE = object()


def migrate(text: str) -> Migration:
    """Translate the text of a thumbor.conf. Raises ConfigError where it is not Python."""
    values = _parse(text)
    result = Migration("thumbor")
    result.set("links", "mounts", {"": "thumbor"})
    for name, value in values.items():
        if value is _UNREADABLE:
            result.note(name, "is computed; only values that are written out are read")
        elif name in _RULES:
            try:
                _RULES[name](result, name, value)
            except (TypeError, ValueError):
                result.note(name, f"the value {value!r} is not understood")
        else:
            result.note(name, REASONS.get(name) or _reason_by_beginning(name))
    if values.get("ALLOW_UNSAFE_URL", True) is True:
        result.set("thumbor", "allow_unsigned", True)
        result.note(
            "ALLOW_UNSAFE_URL", "is on, thumbor's default: everybody may write unsafe links"
        )
    if "SECURITY_KEY" not in values:
        result.note("SECURITY_KEY", "is not set: thumbor signs with MY_SECURE_KEY; choose another")
    if "RESPECT_ORIENTATION" not in values:
        result.note("RESPECT_ORIENTATION", _ORIENTATION)
    if "default_scheme" not in result.sections.get("thumbor", {}):
        _set_root(result, values)
    return result


def _parse(text: str) -> dict[str, object]:
    """The values of assignments at the top level."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"thumbor's configuration is not Python: {error}") from error
    found: dict[str, object] = {}
    for statement in module.body:
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Name) and _NAME.fullmatch(target.id):
                found[target.id] = _value(statement.value)
    return found


def _value(node: ast.expr) -> object:
    match node:
        case ast.Call(args=[ast.Constant(value=str()) as pattern, *_]):  # re.compile("…")
            return pattern.value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            values = [_value(item) for item in items]
            return _UNREADABLE if _UNREADABLE in values else values
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNREADABLE


def _set_root(result: Migration, values: Mapping[str, object]) -> None:
    loader, root = values.get("LOADER"), values.get("FILE_LOADER_ROOT_PATH")
    if isinstance(root, str) and root and isinstance(loader, str) and "file_loader" in loader:
        result.set("sources", "aliases", {"local": f"file://{root}"})
        result.set("thumbor", "base_url", "local:")


def _set(section: str, ours: str, kind: type) -> Rule:
    def apply(result: Migration, _: str, value: object) -> None:
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise TypeError(value)
        result.set(section, ours, value)

    return apply


def _key(result: Migration, name: str, value: object) -> None:
    if value == "MY_SECURE_KEY":
        result.note(name, "is MY_SECURE_KEY, which everybody knows; choose another")
    result.set_secret("thumbor", "keys", name)


def _allowed_sources(result: Migration, name: str, value: object) -> None:
    if not isinstance(value, list):
        raise TypeError(value)
    allowed: list[str] = []
    for item in map(str, value):
        found = _HOST_PATTERN.fullmatch(item)
        host = f"*.{found[1]}".replace("\\", "") if found else item
        if found or _HOST.fullmatch(item):
            allowed += [f"http://{host}/", f"https://{host}/"]
        else:
            result.note(name, f"{item!r}: write it as the beginning of a URL in allow_sources")
    if allowed:
        result.set("thumbor", "allow_sources", allowed)


def _loader(result: Migration, name: str, value: object) -> None:
    loader = str(value)
    if loader.endswith(("https_loader", "strict_https_loader")):
        result.set("thumbor", "default_scheme", "https")
    if loader.endswith("strict_https_loader"):
        result.note(name, 'http:// sources are refused by allow_sources = ["https://"]')
    elif "tc_aws" in loader or "s3" in loader:
        result.note(
            name,
            'name the bucket: aliases = { photos = "s3://BUCKET" } in [sources], and base_url = '
            '"photos:" in [thumbor]',
        )
    elif not loader.endswith(("http_loader", "https_loader", "file_loader")):
        result.note(name, "is not known; sources are HTTP, folders and buckets")


def _file_root(result: Migration, _: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(value)
    if not value.startswith("/"):
        result.note("FILE_LOADER_ROOT_PATH", "must be an absolute path")


def _automatic(result: Migration, name: str, value: object) -> None:
    if value is True:
        result.set("thumbor", "auto_format", True)
    if value is True and name not in ("AUTO_WEBP", "AUTO_AVIF"):
        result.note(
            name, "webp, avif, and png or jpeg are chosen among, as the client accepts them"
        )


def _keep_copyright(result: Migration, name: str, value: object) -> None:
    if value is True:
        result.note(name, "links keep the copyright with keep:copyright; other metadata is removed")


def _orientation(result: Migration, name: str, value: object) -> None:
    if value is not True:
        result.note(name, _ORIENTATION)


def _unsafe(result: Migration, _: str, value: object) -> None:
    result.set("thumbor", "allow_unsigned", bool(value))


def _detectors(result: Migration, name: str, value: object) -> None:
    if value:
        result.note(name, "smart always looks for faces, people, animals and objects")


def _origin(result: Migration, _: str, value: object) -> None:
    if value:
        result.set("server", "allow_origins", [str(value)])


def _max_pixels(result: Migration, _: str, value: object) -> None:
    result.set("limits", "max_source_pixels", int(float(str(value))))


_ORIENTATION = "originals are always turned upright by their EXIF data"

_RULES: Mapping[str, Rule] = {
    "SECURITY_KEY": _key,
    "ALLOW_UNSAFE_URL": _unsafe,
    "ALLOWED_SOURCES": _allowed_sources,
    "LOADER": _loader,
    "FILE_LOADER_ROOT_PATH": _file_root,
    "QUALITY": _set("thumbor", "quality", int),
    "AUTO_WEBP": _automatic,
    "AUTO_AVIF": _automatic,
    "AUTO_JPG": _automatic,
    "AUTO_PNG": _automatic,
    "AUTO_HEIF": _automatic,
    "MAX_AGE": _set("cache", "ttl_default", int),
    "MAX_PIXELS": _max_pixels,
    "RESPECT_ORIENTATION": _orientation,
    "PRESERVE_EXIF_INFO": _keep_copyright,
    "PRESERVE_EXIF_COPYRIGHT_INFO": _keep_copyright,
    "PRESERVE_IPTC_INFO": _keep_copyright,
    "DETECTORS": _detectors,
    "HTTP_LOADER_REQUEST_TIMEOUT": _set("limits", "fetch_timeout_seconds", int),
    "HTTP_LOADER_MAX_REDIRECTS": _set("limits", "max_redirects", int),
    "HTTP_LOADER_DEFAULT_USER_AGENT": _set("sources", "user_agent", str),
    "ACCESS_CONTROL_ALLOW_ORIGIN_HEADER": _origin,
}
"""Settings with a counterpart."""

_BEGINNINGS: Mapping[str, str] = {
    "THUMBOR_LOG": "logs are set in [log]",
    "PILLOW_": "encoders are not set one by one; docs/formats.md says how they work",
    "AVIF_": "encoders are not set one by one; docs/formats.md says how they work",
    "HTTP_LOADER_PROXY": "sources are fetched without a proxy",
    "HTTP_LOADER_": "the HTTP client is set in [sources] and [limits]",
    "UPLOAD_": "originals are not uploaded here; put them at the source",
    "MIXED_STORAGE": "the cache is set in [cache]",
    "RESULT_STORAGE": "the cache is set in [cache]",
    "STORAGE": "the cache is set in [cache]",
    "FILE_STORAGE": "the cache is set in [cache]",
    "REDIS_": "there is no queue; detections are made with the picture",
    "SQS_": "there is no queue; detections are made with the picture",
    "STATSD_": "metrics are at /metrics, in the format of Prometheus",
    "SENTRY_": "errors are in the log, in metrics and in traces",
    "ERROR_": "errors are in the log, in metrics and in traces",
    "COMPATIBILITY_": "there are no plug-ins",
    "FACE_": "models are set in [models]",
    "GLASSES_": "models are set in [models]",
    "PROFILE_": "models are set in [models]",
    "JPEGTRAN_": "there are no optimizers",
    "TC_AWS_": "buckets are aliases in [sources]; AWS' own variables are read",
}


def _reason_by_beginning(name: str) -> str:
    found = next((reason for start, reason in _BEGINNINGS.items() if name.startswith(start)), "")
    return found or "is unknown; nothing was carried over"
