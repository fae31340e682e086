"""Check that a server with these settings can start: `serve` stops, and `doctor` fails, alike.

Each check raises ConfigError with a sentence for the operator. To add one, write it and add its
line to `STARTUP_CHECKS`. None of them opens a connection.
"""

import asyncio
import os
import resource
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from proxy.app import create_app, open_dialects
from proxy.cache.cdn import open_cdns
from proxy.cache.factory import open_cache
from proxy.config import Settings
from proxy.errors import ConfigError, ProxyError
from proxy.render.ipc import socket_path
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.process import PING
from proxy.render.sandbox import missing_guards
from proxy.render.scheduling import PRIORITIES
from proxy.runtime.private_folder import check_private_folder
from proxy.server.connection_limit import RESERVED_DESCRIPTORS, connections_within
from proxy.smartcrop.registry import detector_imports
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.router import SourceRouter
from proxy.telemetry.factory import open_tracing


class CheckResult(Struct, frozen=True):
    """A server starts with a ``note``, but not with what is ``bad``; ``advice`` may be empty."""

    state: Literal["ok", "note", "bad"]
    name: str
    message: str
    advice: str = ""


def run_startup_checks(settings: Settings) -> Iterator[CheckResult]:
    """Run all checks. May start threads: call it in a process that does not fork afterwards."""
    failed = False
    for name, check in STARTUP_CHECKS:
        try:
            yield check(settings)
        except ConfigError as error:
            failed = True
            yield CheckResult("bad", name, str(error))
    if not failed:  # else it would report the same once more
        try:
            create_app(settings)
        except ConfigError as error:
            yield CheckResult("bad", "app", str(error))
            return
        if settings.render.require_sandbox:
            yield check_sandbox(settings)


def check_sandbox(settings: Settings) -> CheckResult:
    """Start a render process as the server does, and tell which guards it has."""
    try:
        guards = asyncio.run(_sandbox_guards(settings))
    except ProxyError as error:
        return CheckResult(
            "bad", "sandbox", f"no render process starts: {error}", "see its output above"
        )
    if not guards:
        return CheckResult(
            "note", "sandbox", "turned off", "unset FRAMEKEEP_RENDER_SANDBOX to turn it on"
        )
    advice = "use a newer kernel, or a container profile that allows these system calls"
    if lacking := missing_guards(guards):
        if settings.render.require_sandbox:
            message = f"FRAMEKEEP_RENDER_REQUIRE_SANDBOX is true, and this system lacks {lacking}"
            return CheckResult("bad", "sandbox", message, advice)
        message = f"render processes run without {lacking}"
        return CheckResult("note", "sandbox", message, advice)
    lacking = ", ".join(f"{name} ({state})" for name, state in guards.items() if state != "on")
    if lacking:
        return CheckResult(
            "ok",
            "sandbox",
            f"complete, but without {lacking}: names and sizes of other files can be found out",
            "allow user namespaces, where you can",
        )
    return CheckResult("ok", "sandbox", ", ".join(guards))


async def _sandbox_guards(settings: Settings) -> Mapping[str, str]:
    models = settings.models
    manager = RenderProcessManager(
        structs.replace(settings.render, processes=1, require_sandbox=False),
        preload=detector_imports(models),
        readable_paths=models.readable_dirs(),
        runtime_dir=settings.runtime.directory(),
    )
    async with manager:
        pool = RenderPool(manager.directory)
        return (await pool.run(PING, None)).sandbox_guards


def _check_connections(settings: Settings) -> CheckResult:
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.server.max_connections
    allowed = connections_within(descriptors, wanted)
    if allowed < wanted:
        return CheckResult(
            "note",
            "connections",
            f"a worker keeps {allowed} connections, not the {wanted} of "
            f"FRAMEKEEP_SERVER_MAX_CONNECTIONS: its limit of file descriptors is {descriptors}",
            f"raise the limit to {wanted + RESERVED_DESCRIPTORS} with `ulimit -Hn`, systemd's "
            "LimitNOFILE= or Docker's --ulimit nofile=",
        )
    return CheckResult("ok", "connections", f"{allowed} for each worker")


def _check_links(settings: Settings) -> CheckResult:
    settings.validate_keys()
    dialects = open_dialects(settings)
    links = settings.links
    return CheckResult(
        "ok",
        "links",
        f"{dialects.describe()}; signing keys: {len(links.keys)}, presets: {len(links.presets)}",
    )


def _check_sources(settings: Settings) -> CheckResult:
    SourceRouter.from_config(settings.sources, settings.limits)
    return CheckResult("ok", "sources", ", ".join(("http(s) URLs", *settings.sources.aliases)))


def _check_cache(settings: Settings) -> CheckResult:
    config = settings.cache
    directory = config.directory()
    try:
        check_private_folder(directory)
    except ConfigError as error:
        raise ConfigError(f"FRAMEKEEP_CACHE_DIR: {error}") from error
    except OSError as error:
        raise ConfigError(f"FRAMEKEEP_CACHE_DIR: {directory}: {error.strerror}") from error
    try:
        open_cache(config, settings.shared_cache)
    except ValueError as error:
        raise ConfigError(f"FRAMEKEEP_SHARED_CACHE_URL: {error}") from error
    if directory.exists() and not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        return CheckResult(
            "note",
            "cache",
            f"{directory} cannot be written to, so nothing is cached on disk",
            "remount it for writing, or choose another FRAMEKEEP_CACHE_DIR",
        )
    return CheckResult("ok", "cache", str(directory))


def _check_runtime_directory(settings: Settings) -> CheckResult:
    """Bind a socket, as the server will: not every file system allows it, or so long a path."""
    directory = settings.runtime.directory()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="framekeep-check-", dir=directory) as folder,
            socket.socket(socket.AF_UNIX) as listener,
        ):
            longest = max(PRIORITIES, key=len)
            listener.bind(f"{socket_path(Path(folder), longest)}-+")  # as long as the server's path
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"FRAMEKEEP_RUNTIME_DIR: no socket can be made in {directory}: {reason}"
        ) from error
    return CheckResult("ok", "runtime", str(directory))


def _check_models(settings: Settings) -> CheckResult:
    models = settings.models
    models.validate()
    files = models.installed_files()
    if not files:
        return CheckResult(
            "ok",
            "models",
            "none; the built-in detectors are used",
            "`framekeep models install` installs better ones",
        )
    if find_spec("onnxruntime") is None:
        raise ConfigError(
            "FRAMEKEEP_MODELS_DIR: onnxruntime is missing; pip install 'framekeep[models]'"
        )
    from proxy.smartcrop.detector import SubjectDetector  # noqa: PLC0415 - it imports numpy

    try:
        SubjectDetector(models).load()
    except ValueError as error:
        raise ConfigError(
            f"FRAMEKEEP_MODELS_DIR: {error}; `framekeep models install` installs a valid file"
        ) from error
    return CheckResult("ok", "models", ", ".join(str(path) for path in files))


def _check_cdns(settings: Settings) -> CheckResult:
    cdns = open_cdns(settings.cdn, HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK)))
    return CheckResult("ok", "cdns", ", ".join(cdn.name for cdn in cdns) or "none")


def _check_metrics(settings: Settings) -> CheckResult:
    if settings.metrics.access == "keys" and not settings.metrics.keys:
        raise ConfigError(
            "FRAMEKEEP_METRICS_ACCESS is keys, and FRAMEKEEP_METRICS_KEYS is not set, so nobody "
            "could read /metrics"
        )
    return CheckResult("ok", "metrics", f"FRAMEKEEP_METRICS_ACCESS is {settings.metrics.access}")


def _check_tracing(settings: Settings) -> CheckResult:
    tracing = open_tracing(settings.tracing)
    if tracing is None:
        return CheckResult("ok", "tracing", "turned off")
    tracing.shutdown()
    return CheckResult("ok", "tracing", "sent by OTLP to OTEL_EXPORTER_OTLP_ENDPOINT")


STARTUP_CHECKS: tuple[tuple[str, Callable[[Settings], CheckResult]], ...] = (
    ("connections", _check_connections),
    ("links", _check_links),
    ("sources", _check_sources),
    ("cache", _check_cache),
    ("runtime", _check_runtime_directory),
    ("models", _check_models),
    ("cdns", _check_cdns),
    ("metrics", _check_metrics),
    ("tracing", _check_tracing),
)
"""Each with the name of its line in the output of `doctor`."""
