"""Check this machine and its settings, and print how to fix what does not work."""

import asyncio
import os
import re
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from proxy.config import Settings, load
from proxy.errors import ConfigError, ProxyError
from proxy.imaging.advisories import library_versions, vulnerabilities
from proxy.library import Framekeep
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.process import PING
from proxy.smartcrop.detector import SubjectDetector
from proxy.smartcrop.registry import detector_imports
from proxy.sources.router import SourceRouter

EXAMPLES = """\
example:
  framekeep doctor
"""

_OUTPUT_FORMATS = ("jpeg", "png", "webp", "avif", "gif", "heif")

_RED_PIXEL_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)

_UPPER_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*<(?P<bound>\d+(\.\d+)*)")
"""Name and upper bound of a requirement, such as ``aiohttp<3.15,>=3.13``."""


class CheckResult(Struct, frozen=True):
    """``advice`` says how to fix or improve it, and is empty where nothing is to be done."""

    state: Literal["ok", "note", "bad"]
    name: str
    message: str
    advice: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the settings say what is to be checked."""


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    status = 0
    for result in run_checks(environment):
        print(f"{result.state:<5}{result.name:<12}{result.message}")
        if result.advice:
            print(f"{'':17}{result.advice}")
        status = max(status, result.state == "bad")
    return status


def run_checks(environment: Mapping[str, str]) -> Iterator[CheckResult]:
    yield CheckResult("ok", "python", sys.version.partition(" ")[0])
    yield check_versions(metadata.requires("framekeep") or (), metadata.version)
    for name in _OUTPUT_FORMATS:
        yield _check_format(name)
    try:
        settings = load(environment).settings
    except ConfigError as error:
        yield CheckResult("bad", "settings", str(error).replace("\n", "; "))
        return
    checks: tuple[Callable[[Settings], CheckResult], ...] = (
        *(_check_libraries, _check_keys, _check_cache, _check_models, _check_sandbox),
        *(check_aliases, _check_networks, _check_metrics, _check_tracing),
    )
    for check in checks:
        yield check(settings)


def check_versions(
    requirements: Iterable[str], installed_version: Callable[[str], str]
) -> CheckResult:
    """Compare libraries whose private API is used with the versions that Framekeep allows."""
    beyond, near = [], []
    for requirement in requirements:
        match = _UPPER_BOUND.match(requirement)
        if match is None:
            continue
        try:
            version = installed_version(match["name"])
        except metadata.PackageNotFoundError:
            continue  # an extra
        bound = _release(match["bound"])
        series = _release(version)[: len(bound)]
        text = f"{match['name']} {version} (allowed: <{match['bound']})"
        if series >= bound:
            beyond.append(text)
        elif (*series[:-1], series[-1] + 1) == bound:
            near.append(text)
    if beyond:
        return CheckResult(
            "note",
            "versions",
            f"not tested with {', '.join(beyond)}",
            "install a version that is allowed, or a newer Framekeep",
        )
    if near:
        message = f"the last series that is allowed is installed: {', '.join(near)}"
        return CheckResult("ok", "versions", message)
    return CheckResult("ok", "versions", "below all upper bounds")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def _check_format(name: str) -> CheckResult:
    try:
        encoded = Framekeep().render(_RED_PIXEL_PNG, "resize:16:16:fill", f"convert:{name}")
        Framekeep().render(encoded.body, "convert:png")
    except ProxyError as error:
        return CheckResult("note", name, f"{error}", "links that need this format get 422")
    return CheckResult("ok", name, "can be written and read")


def _check_libraries(settings: Settings) -> CheckResult:
    """Warn about decoders with a vulnerability that an accepted image can exploit."""
    versions = library_versions()
    found = list(vulnerabilities(versions, settings.limits.allow_source_formats))
    if found:
        return CheckResult(
            "note",
            "libraries",
            "; ".join(found),
            "update them, or remove the formats from FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS",
        )
    installed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return CheckResult("ok", "libraries", f"no known vulnerabilities in {installed}")


def _check_keys(settings: Settings) -> CheckResult:
    links = settings.links
    if links.keys:
        return CheckResult("ok", "links", f"signing keys: {len(links.keys)}")
    if links.allow_unsigned:
        return CheckResult(
            "note", "links", "unsigned links are accepted", "use this for development only"
        )
    return CheckResult(
        "bad",
        "links",
        "no signing keys",
        "set FRAMEKEEP_LINKS_KEYS; `openssl rand -hex 32` prints a key",
    )


def _check_cache(settings: Settings) -> CheckResult:
    directory = Path(settings.cache.dir).expanduser()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return CheckResult(
            "bad", "cache", f"{existing} is not writable", "choose another FRAMEKEEP_CACHE_DIR"
        )
    free, needed = shutil.disk_usage(existing).free, settings.cache.max_result_bytes
    if free < needed:
        return CheckResult(
            "note",
            "cache",
            f"{directory} has {free:,} bytes free, less than the {needed:,} that are allowed",
            "free some space, or lower FRAMEKEEP_CACHE_MAX_RESULT_BYTES",
        )
    return CheckResult("ok", "cache", f"{directory}, {free:,} bytes free")


def _check_sandbox(settings: Settings) -> CheckResult:
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
    missing = [f"{name} ({state})" for name, state in guards.items() if state != "on"]
    if missing:
        return CheckResult(
            "note",
            "sandbox",
            f"render processes run without {', '.join(missing)}",
            "use a newer kernel, or a container profile that allows these system calls",
        )
    return CheckResult("ok", "sandbox", ", ".join(guards))


async def _sandbox_guards(settings: Settings) -> Mapping[str, str]:
    """Start a render process as the server would, and ask it."""
    models = settings.models
    manager = RenderProcessManager(
        structs.replace(settings.render, processes=1),
        preload=detector_imports(models),
        readable_paths=models.readable_dirs(),
    )
    async with manager:
        pool = RenderPool(manager.directory, queue_timeout_seconds=60)
        return (await pool.run(PING, None)).sandbox_guards


def check_aliases(settings: Settings) -> CheckResult:
    try:
        SourceRouter.from_config(settings.sources, settings.limits)  # this opens no connection
    except ConfigError as error:
        return CheckResult(
            "bad", "sources", str(error).replace("\n", "; "), "correct FRAMEKEEP_SOURCES_ALIASES"
        )
    names = ("http(s) URLs", *settings.sources.aliases)
    return CheckResult("ok", "sources", ", ".join(names))


def _check_networks(settings: Settings) -> CheckResult:
    networks = settings.sources.allow_nets
    if not networks:
        return CheckResult("ok", "networks", "sources must have public addresses")
    return CheckResult(
        "note",
        "networks",
        f"sources may have public addresses, and those in {', '.join(networks)}",
        "whoever signs links can reach all servers in these networks; allow as few as possible",
    )


def _check_metrics(settings: Settings) -> CheckResult:
    if settings.metrics.access == "open":
        return CheckResult(
            "note",
            "metrics",
            "everybody can read /metrics",
            "set FRAMEKEEP_METRICS_ACCESS to private or keys",
        )
    if settings.metrics.access == "keys" and not settings.metrics.keys:
        return CheckResult(
            "bad", "metrics", "nobody can read /metrics: no keys", "set FRAMEKEEP_METRICS_KEYS"
        )
    return CheckResult("ok", "metrics", f"FRAMEKEEP_METRICS_ACCESS is {settings.metrics.access}")


def _check_tracing(settings: Settings) -> CheckResult:
    if not settings.tracing.otel:
        return CheckResult("ok", "tracing", "turned off")
    if find_spec("opentelemetry") is None:
        return CheckResult(
            "bad", "tracing", "OpenTelemetry is not installed", "pip install 'framekeep[otel]'"
        )
    return CheckResult("ok", "tracing", "sent by OTLP to OTEL_EXPORTER_OTLP_ENDPOINT")


def _check_models(settings: Settings) -> CheckResult:
    models = settings.models
    try:
        models.validate()
    except ConfigError as error:
        return CheckResult("bad", "models", str(error), "`framekeep models install` creates it")
    files = models.installed_files()
    if not files:
        return CheckResult(
            "ok",
            "models",
            "none; the built-in detectors are used",
            "`framekeep models install` installs better ones",
        )
    if find_spec("onnxruntime") is None:
        return CheckResult(
            "bad", "models", "onnxruntime is not installed", "pip install 'framekeep[models]'"
        )
    try:
        SubjectDetector(models).load()
    except ValueError as error:
        return CheckResult(
            "bad", "models", str(error), "`framekeep models install` installs a valid file"
        )
    return CheckResult("ok", "models", ", ".join(str(path) for path in files))
