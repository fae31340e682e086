"""Translate imgproxy's environment."""

import re
from collections.abc import Callable, Mapping

from proxy.cli.migrations.imgproxy_unsupported import REASONS
from proxy.cli.migrations.migration import Migration
from proxy.links.imgproxy.output_options import FORMATS

_PREFIX = "IMGPROXY_"
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.*?)\s*")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_QUALITY_FORMATS = ("jpeg", "webp", "avif", "heif", "jxl")
_PRIVATE_NETS = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]

Environment = Mapping[str, str]
Rule = Callable[[Migration, str, str], None]
"""Carries over a setting, given its name without ``IMGPROXY_`` and its value."""


def migrate(text: str) -> Migration:
    """Translate the text of an environment file: a ``NAME=value`` in each line."""
    environment = _parse(text)
    result = Migration("imgproxy")
    _set_mount(result, environment)
    _set_defaults(result, environment)
    for name, value in environment.items():
        if name in _RULES:
            try:
                _RULES[name](result, name, value)
            except ValueError:
                result.note(_PREFIX + name, f"the value {value!r} is not understood")
        elif name in REASONS:
            if reason := REASONS[name]:
                result.note(_PREFIX + name, reason)
        elif reason := next((REASONS[each] for each in REASONS if _matches(each, name)), ""):
            result.note(_PREFIX + name, reason)
        else:
            result.note(_PREFIX + name, "is unknown; nothing was carried over")
    if "KEY" not in environment or "SALT" not in environment:
        result.set("imgproxy", "allow_unsigned", True)
        result.note(
            "IMGPROXY_KEY, IMGPROXY_SALT",
            "one is missing, so imgproxy accepts unsigned links, and so does allow_unsigned = true",
        )
    _set_sources(result, environment)
    return result


def _parse(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.lstrip("- ") if line.lstrip().startswith("- ") else line)
        if match and match[1].startswith(_PREFIX):
            found[match[1].removeprefix(_PREFIX)] = _unquote(match[2])
    return found


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _matches(pattern: str, name: str) -> bool:
    return pattern.endswith("*") and name.startswith(pattern[:-1])


def _set_mount(result: Migration, environment: Environment) -> None:
    result.set("links", "mounts", {"": "imgproxy"})
    if prefix := environment.get("PATH_PREFIX", "").strip("/"):
        result.set("server", "path_prefix", f"/{prefix}")


def _set_defaults(result: Migration, environment: Environment) -> None:
    """Set what imgproxy does by default and this server does not."""
    if "KEEP_COPYRIGHT" not in environment:
        result.set("imgproxy", "keep_copyright", True)
    if "MAX_ANIMATION_FRAMES" not in environment:
        result.set("imgproxy", "max_animation_frames", 1)


def _set_sources(result: Migration, environment: Environment) -> None:
    """Set aliases for the schemes of imgproxy."""
    aliases: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    if root := environment.get("LOCAL_FILESYSTEM_ROOT"):
        aliases["local"] = f"file://{root}"
        prefixes["local:///"] = "local:"
    for variable, scheme, ours in (
        ("USE_S3", "s3", "s3"),
        ("USE_GCS", "gs", "gs"),
        ("USE_ABS", "abs", "az"),
    ):
        if environment.get(variable) in _TRUE:
            buckets = _buckets(scheme, environment)
            for bucket in buckets:
                alias = re.sub(r"[^a-z0-9-]", "-", f"{scheme}-{bucket}")[:32]
                aliases[alias] = f"{ours}://{bucket}"
                prefixes[f"{scheme}://{bucket}/"] = f"{alias}:"
            if not buckets:
                result.note(
                    _PREFIX + variable,
                    f'name each bucket: aliases = {{ photos = "{ours}://BUCKET" }} in [sources], '
                    f'and source_prefixes = {{ "{scheme}://BUCKET/" = "photos:" }} in [imgproxy]',
                )
    for rule in filter(None, environment.get("URL_REPLACEMENTS", "").split(";")):
        pattern, equals, replacement = rule.partition("=")
        if equals and "*" not in pattern:
            prefixes[pattern] = replacement
        else:
            result.note(
                "IMGPROXY_URL_REPLACEMENTS", f"{rule!r}: only plain beginnings are replaced"
            )
    if aliases:
        result.set("sources", "aliases", aliases)
    if prefixes:
        result.set("imgproxy", "source_prefixes", prefixes)


def _buckets(scheme: str, environment: Environment) -> list[str]:
    """The buckets that allowed sources and the base URL name."""
    texts = [*environment.get("ALLOWED_SOURCES", "").split(","), environment.get("BASE_URL", "")]
    found = (re.match(rf"{scheme}://([A-Za-z0-9._-]+)/", text.strip()) for text in texts)
    return list(dict.fromkeys(match[1] for match in found if match))


def _is_true(value: str) -> bool:
    return value in _TRUE


def _secret(ours: str) -> Rule:
    return lambda result, name, _: result.set_secret("imgproxy", ours, _PREFIX + name)


def _value(section: str, ours: str, parse: Callable[[str], object]) -> Rule:
    return lambda result, _, value: result.set(section, ours, parse(value))


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _megapixels(value: str) -> int:
    return round(float(value) * 1_000_000)


def _bind(result: Migration, _: str, value: str) -> None:
    host, _, port = value.rpartition(":")
    result.set("server", "host", host.strip("[]") or "0.0.0.0")  # noqa: S104 - imgproxy's default
    result.set("server", "port", int(port))


def _presets(result: Migration, _: str, value: str) -> None:
    pairs = (item.partition("=") for item in _items(value))
    result.set("imgproxy", "presets", {name: options for name, _, options in pairs})


def _format_quality(result: Migration, name: str, value: str) -> None:
    qualities: dict[str, int] = {}
    for item in _items(value):
        format, _, quality = item.partition("=")
        ours = FORMATS.get(format, "")
        if ours in _QUALITY_FORMATS:
            qualities[ours] = int(quality)
        else:
            result.note(_PREFIX + name, f"{format}: has no quality here")
    result.set("imgproxy", "format_quality", qualities)


def _skip_formats(result: Migration, name: str, value: str) -> None:
    formats = {item: FORMATS.get(item) for item in _items(value)}
    for unknown in (item for item, ours in formats.items() if ours is None):
        result.note(_PREFIX + name, f"{unknown}: originals of this format are not passed through")
    result.set("imgproxy", "skip_formats", list(dict.fromkeys(filter(None, formats.values()))))


def _negotiation(result: Migration, name: str, value: str) -> None:
    if _is_true(value):
        result.set("imgproxy", "auto_format", True)
    if _is_true(value) and name.endswith("JXL"):
        result.set("links", "auto_jxl", True)
        result.note(_PREFIX + name, "needs framekeep[jxl]")
    if _is_true(value) and name.startswith("ENFORCE"):
        result.note(_PREFIX + name, "a format that a link names is not replaced")


def _private_sources(result: Migration, _: str, value: str) -> None:
    if _is_true(value):
        known = result.sections.get("sources", {}).get("allow_nets", [])
        nets = [*known, *_PRIVATE_NETS] if isinstance(known, list) else _PRIVATE_NETS
        result.set("sources", "allow_nets", nets)


def _loopback_sources(result: Migration, _: str, value: str) -> None:
    if _is_true(value):
        known = result.sections.get("sources", {}).get("allow_nets", [])
        nets = ["127.0.0.0/8", "::1/128"]
        result.set("sources", "allow_nets", [*known, *nets] if isinstance(known, list) else nets)


def _watermark(result: Migration, name: str, value: str) -> None:
    if name == "WATERMARK_URL":
        result.set("imgproxy", "watermark", value)
        return
    result.note(
        _PREFIX + name,
        'put the file into a folder with an alias, and set watermark = "ALIAS:FILE" in [imgproxy]',
    )


def _fallback(result: Migration, name: str, value: str) -> None:
    if name == "FALLBACK_IMAGE_URL":
        result.set("links", "fallbacks", {"default": value})
        result.set("links", "fallback", "default")
        return
    result.note(
        _PREFIX + name,
        "put the file into a folder with an alias, and set fallbacks and fallback in [links]",
    )


def _log_level(result: Migration, _: str, value: str) -> None:
    levels = {"debug": "debug", "info": "info", "warn": "warning", "error": "error"}
    if value.lower() not in levels:
        raise ValueError(value)
    result.set("log", "level", levels[value.lower()])


_RULES: Mapping[str, Rule] = {
    "KEY": _secret("keys"),
    "SALT": _secret("salts"),
    "TRUSTED_SIGNATURES": _secret("trusted_signatures"),
    "SOURCE_URL_ENCRYPTION_KEY": _secret("source_url_encryption_keys"),
    "SIGNATURE_SIZE": _value("imgproxy", "signature_size", int),
    "BIND": _bind,
    "PATH_PREFIX": lambda *_: None,  # see `_set_mount`
    "TIMEOUT": _value("limits", "request_timeout_seconds", float),
    "READ_TIMEOUT": _value("server", "read_timeout_seconds", float),
    "READ_REQUEST_TIMEOUT": _value("server", "read_timeout_seconds", float),
    "WRITE_TIMEOUT": _value("server", "write_timeout_seconds", float),
    "WRITE_RESPONSE_TIMEOUT": _value("server", "write_timeout_seconds", float),
    "KEEP_ALIVE_TIMEOUT": _value("server", "keep_alive_seconds", int),
    "DOWNLOAD_TIMEOUT": _value("limits", "fetch_timeout_seconds", float),
    "WORKERS": _value("render", "processes", int),
    "CONCURRENCY": _value("render", "processes", int),
    "MAX_CLIENTS": _value("server", "max_connections", int),
    "TTL": _value("cache", "ttl_default", int),
    "USER_AGENT": _value("sources", "user_agent", str),
    "MAX_SRC_RESOLUTION": _value("limits", "max_source_pixels", _megapixels),
    "MAX_SRC_FILE_SIZE": _value("limits", "max_source_bytes", int),
    "MAX_REDIRECTS": _value("limits", "max_redirects", int),
    "MAX_RESULT_DIMENSION": _value("limits", "max_result_dimension", int),
    "MAX_ANIMATION_FRAMES": _value("imgproxy", "max_animation_frames", int),
    "ALLOWED_SOURCES": _value("imgproxy", "allow_sources", _items),
    "ALLOWED_PROCESSING_OPTIONS": _value("imgproxy", "allow_options", _items),
    "ALLOW_SECURITY_OPTIONS": _value("imgproxy", "allow_security_options", _is_true),
    "ALLOW_PRIVATE_SOURCE_ADDRESSES": _private_sources,
    "ALLOW_LOOPBACK_SOURCE_ADDRESSES": _loopback_sources,
    "ALLOW_ORIGIN": _value("server", "allow_origins", _items),
    "QUALITY": _value("imgproxy", "quality", int),
    "FORMAT_QUALITY": _format_quality,
    "AUTO_WEBP": _negotiation,
    "AUTO_AVIF": _negotiation,
    "AUTO_JXL": _negotiation,
    "ENABLE_WEBP_DETECTION": _negotiation,
    "ENABLE_AVIF_DETECTION": _negotiation,
    "ENFORCE_WEBP": _negotiation,
    "ENFORCE_AVIF": _negotiation,
    "ENFORCE_JXL": _negotiation,
    "SKIP_PROCESSING_FORMATS": _skip_formats,
    "PRESETS": _presets,
    "ONLY_PRESETS": _value("imgproxy", "only_presets", _is_true),
    "WATERMARK_URL": _watermark,
    "WATERMARK_PATH": _watermark,
    "WATERMARK_DATA": _watermark,
    "WATERMARK_OPACITY": _value("imgproxy", "watermark_opacity", float),
    "FALLBACK_IMAGE_URL": _fallback,
    "FALLBACK_IMAGE_PATH": _fallback,
    "FALLBACK_IMAGE_DATA": _fallback,
    "FALLBACK_IMAGE_HTTP_CODE": _value("links", "fallback_status", int),
    "FALLBACK_IMAGE_TTL": _value("links", "fallback_ttl", int),
    "LOCAL_FILESYSTEM_ROOT": lambda *_: None,  # these four: see `_set_sources`
    "USE_S3": lambda *_: None,
    "USE_GCS": lambda *_: None,
    "USE_ABS": lambda *_: None,
    "URL_REPLACEMENTS": lambda *_: None,
    "BASE_URL": _value("imgproxy", "base_url", str),
    "BASE64_URL_INCLUDES_FILENAME": _value("imgproxy", "base64_url_includes_filename", _is_true),
    "ARGUMENTS_SEPARATOR": _value("imgproxy", "arguments_separator", str),
    "KEEP_COPYRIGHT": _value("imgproxy", "keep_copyright", _is_true),
    "RETURN_ATTACHMENT": _value("imgproxy", "return_attachment", _is_true),
    "OPEN_TELEMETRY_ENABLE": _value("tracing", "otel", _is_true),
    "LOG_LEVEL": _log_level,
}
"""Settings with a counterpart."""
