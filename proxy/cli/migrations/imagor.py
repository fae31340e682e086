"""Translate imagor's environment."""

import re
from collections.abc import Callable, Mapping

from proxy.cli.migrations.migration import Migration

Rule = Callable[[Migration, str, str], None]
"""Carries over a setting, given its name and value. Raises ValueError."""

_LINE = re.compile(r"\s*(?:-\s+)?(?:export\s+)?([A-Z][A-Z0-9_]*)\s*[=:]\s*(.*?)\s*")
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_IGNORED = frozenset(("PATH", "HOME", "HOSTNAME", "PWD", "TERM", "SHLVL", "LANG"))


def migrate(text: str) -> Migration:
    """Translate the text of an environment file: a ``NAME=value`` in each line."""
    environment = _parse(text)
    result = Migration("imagor")
    prefix = environment.get("SERVER_PATH_PREFIX", "").strip("/")
    if re.fullmatch(r"[a-z][a-z0-9-]{0,15}", prefix):
        result.set("links", "mounts", {prefix: "imagor"})
    else:
        result.set("links", "mounts", {"": "imagor"})
        if prefix:
            result.set("server", "path_prefix", f"/{prefix}")
    for name, value in environment.items():
        if name in _RULES:
            try:
                _RULES[name](result, name, value)
            except ValueError:
                result.note(name, f"the value {value!r} is not understood")
        elif reason := next((why for start, why in _REASONS.items() if name.startswith(start)), ""):
            result.note(name, reason)
        elif name not in _IGNORED:
            result.note(name, "is unknown; nothing was carried over")
    if "IMAGOR_SECRET" not in environment:
        result.set("imagor", "allow_unsigned", True)
        result.note("IMAGOR_SECRET", "is not set, so every link is unsigned; choose a key")
    return result


def _parse(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            value = match[2]
            is_quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
            found[match[1]] = value[1:-1] if is_quoted else value.partition(" #")[0].rstrip()
    return found


def _is_true(value: str) -> bool:
    return value in ("1", "t", "T", "true", "True", "TRUE")


def _set(section: str, ours: str, parse: Callable[[str], object]) -> Rule:
    return lambda result, _, value: result.set(section, ours, parse(value))


def _seconds(value: str) -> float:
    parts = _DURATION.findall(value)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != value:
        raise ValueError(value)
    return float(sum(int(number) * _SECONDS[unit] for number, unit in parts))


def _hosts(result: Migration, _: str, value: str) -> None:
    hosts = [host.strip() for host in value.split(",") if host.strip()]
    allowed = [f"{scheme}://{host}/" for host in hosts for scheme in ("https", "http")]
    result.set("imagor", "allow_sources", allowed)


def _file_root(result: Migration, name: str, value: str) -> None:
    result.set("sources", "aliases", {"local": f"file://{value}"})
    result.set("imagor", "base_url", "local:")
    result.note(name, "all sources are in this folder then; for URLs as well, remove base_url")


def _bucket(result: Migration, name: str, value: str) -> None:
    scheme = "gs" if name.startswith("GCLOUD") else "s3"
    result.set("sources", "aliases", {"bucket": f"{scheme}://{value}"})
    result.set("imagor", "base_url", "bucket:")


def _base_url(result: Migration, _: str, value: str) -> None:
    result.set("imagor", "base_url", value.rstrip("/") + "/")


def _scheme(result: Migration, name: str, value: str) -> None:
    if value in ("http", "https"):
        result.set("imagor", "default_scheme", value)
    else:
        result.note(name, "sources without a scheme get one; write nil as allow_sources")


def _automatic(result: Migration, name: str, value: str) -> None:
    if _is_true(value):
        result.set("imagor", "auto_format", True)
    if _is_true(value) and name == "IMAGOR_AUTO_JXL":
        result.set("links", "auto_jxl", True)
        result.note(name, "needs framekeep[jxl]")
    if _is_true(value) and name == "IMAGOR_AUTO_JPEG":
        result.note(
            name, "webp, avif, and png or jpeg are chosen among, as the client accepts them"
        )


_RULES: Mapping[str, Rule] = {
    "IMAGOR_SECRET": lambda result, name, _: result.set_secret("imagor", "keys", name),
    "IMAGOR_UNSAFE": _set("imagor", "allow_unsigned", _is_true),
    "IMAGOR_SIGNER_TYPE": _set("imagor", "signature_algorithm", str),
    "IMAGOR_SIGNER_TRUNCATE": _set("imagor", "signature_length", int),
    "IMAGOR_AUTO_WEBP": _automatic,
    "IMAGOR_AUTO_AVIF": _automatic,
    "IMAGOR_AUTO_JXL": _automatic,
    "IMAGOR_AUTO_JPEG": _automatic,
    "IMAGOR_CACHE_HEADER_TTL": _set("cache", "ttl_default", lambda value: int(_seconds(value))),
    "IMAGOR_REQUEST_TIMEOUT": _set("limits", "request_timeout_seconds", _seconds),
    "IMAGOR_LOAD_TIMEOUT": _set("limits", "fetch_timeout_seconds", _seconds),
    "IMAGOR_PROCESS_TIMEOUT": _set("limits", "render_timeout_seconds", _seconds),
    "IMAGOR_PROCESS_CONCURRENCY": _set("render", "processes", int),
    "HTTP_LOADER_ALLOWED_SOURCES": _hosts,
    "HTTP_LOADER_BASE_URL": _base_url,
    "HTTP_LOADER_DEFAULT_SCHEME": _scheme,
    "HTTP_LOADER_USER_AGENT": _set("sources", "user_agent", str),
    "HTTP_LOADER_MAX_ALLOWED_SIZE": _set("limits", "max_source_bytes", int),
    "FILE_LOADER_BASE_DIR": _file_root,
    "S3_LOADER_BUCKET": _bucket,
    "GCLOUD_LOADER_BUCKET": _bucket,
    "SERVER_ADDRESS": _set("server", "host", str),
    "PORT": _set("server", "port", int),
    "SERVER_PATH_PREFIX": lambda *_: None,  # see `migrate`
    "VIPS_MAX_RESOLUTION": _set("limits", "max_source_pixels", int),
    "VIPS_MAX_ANIMATION_FRAMES": lambda result, name, _: result.note(
        name, "frames are bounded by max_source_pixels_all_frames in [limits], or by max_frames(…)"
    ),
}
"""Settings with a counterpart."""

_REASONS: Mapping[str, str] = {
    "IMAGOR_BASE_PARAMS": "there are no options in front of every link",
    "IMAGOR_CACHE_HEADER": "Cache-Control is set in [cache]",
    "IMAGOR_DISABLE_PARAMS_ENDPOINT": "links are explained by framekeep explain",
    "IMAGOR_DISABLE_ERROR_BODY": "errors are application/problem+json",
    "IMAGOR_MODIFIED_TIME_CHECK": "originals are validated with their source when they expire",
    "IMAGOR_PROCESS_QUEUE_SIZE": "a request waits as long as it can be finished in its time",
    "IMAGOR_": "there is no such setting",
    "HTTP_LOADER_FORWARD": "headers of clients are not sent to sources",
    "HTTP_LOADER_BLOCK": "private networks are always blocked; allow_nets in [sources] opens some",
    "HTTP_LOADER_INSECURE": "certificates of sources are always verified",
    "HTTP_LOADER": "the HTTP client is set in [sources] and [limits]",
    "FILE_STORAGE": "originals are in the cache; see [cache]",
    "FILE_RESULT_STORAGE": "results are in the cache; see [cache]",
    "FILE_": "files are an alias in [sources]",
    "UPLOAD_": "originals are not uploaded here; put them at the source",
    "S3_STORAGE": "originals are in the cache; see [cache]",
    "S3_RESULT_STORAGE": "results are in the cache; see [shared_cache]",
    "S3_": "buckets are aliases in [sources]",
    "AWS_": "is read as it is, by the client for buckets",
    "GCLOUD_": "buckets are aliases in [sources]",
    "GOOGLE_": "is read as it is, by the client for buckets",
    "VIPS_MAX_WIDTH": "larger sizes are refused: max_result_dimension in [limits]",
    "VIPS_MAX_HEIGHT": "larger sizes are refused: max_result_dimension in [limits]",
    "VIPS_": "encoders and filters are not set one by one; docs/formats.md says how they work",
    "SERVER_": "the server is set in [server]",
    "PROMETHEUS_": "metrics are at /metrics",
    "SENTRY_": "errors are in the log, in metrics and in traces",
    "DEBUG": "the log is set in [log]",
}
"""Reasons by the beginning of a name; the first that fits counts."""
