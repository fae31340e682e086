"""Look at this machine: what works, and what to do about the rest."""

import asyncio
import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from proxy.config import Settings, load
from proxy.errors import ConfigError, ProxyError
from proxy.imaging.advisories import holes, installed
from proxy.library import Framekeep
from proxy.render.manager import Renderers
from proxy.render.pool import Pool
from proxy.render.process import ABOUT
from proxy.smartcrop.detector import Eye


class Finding(Struct, frozen=True):
    """``remedy`` says what to do about it, empty where there is nothing to do."""

    state: Literal["ok", "note", "bad"]
    about: str
    found: str
    remedy: str = ""


def arguments(parser: ArgumentParser) -> None:
    parser.set_defaults()


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    worst = 0
    for finding in examine(environment):
        print(f"{finding.state:<5}{finding.about:<12}{finding.found}")
        if finding.remedy:
            print(f"{'':17}{finding.remedy}")
        worst = max(worst, finding.state == "bad")
    return worst


def examine(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Everything that can be said about this machine and these settings."""
    yield Finding("ok", "python", sys.version.partition(" ")[0])
    for name in _WRITTEN:
        yield _codec(name)
    try:
        settings = load(environment).settings
    except ConfigError as error:
        yield Finding("bad", "settings", str(error).replace("\n", "; "))
        return
    checks: tuple[Callable[[Settings], Finding], ...] = (
        *(_libraries, _keys, _cache, _models, _sandbox),
        *(_addresses, _metrics, _traces),
    )
    for check in checks:
        yield check(settings)


_WRITTEN = ("jpeg", "png", "webp", "avif", "gif", "heif")


def _codec(name: str) -> Finding:
    """A small picture is written in the format and read again."""
    try:
        made = Framekeep().render(_DOT, "resize:16:16:fill", f"convert:{name}")
        Framekeep().render(made.body, "convert:png")
    except ProxyError as error:
        return Finding("note", name, f"{error}", "links that ask for it are answered 422")
    return Finding("ok", name, "is written and read")


_DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
"""A PNG of one red pixel."""


def _libraries(settings: Settings) -> Finding:
    """Which decoders are known to be open to whoever sends a picture."""
    render, formats = settings.render, settings.limits.allow_source_formats
    found = list(holes(installed(), formats, render.patched))
    if found:
        return Finding(
            "bad",
            "libraries",
            "; ".join(found),
            "mended ones with an old number: name the advisory in FRAMEKEEP_RENDER_PATCHED",
        )
    told = ", ".join(f"{name} {version}" for name, version in installed().items())
    return Finding("ok", "libraries", f"no known holes in {told}")


def _keys(settings: Settings) -> Finding:
    links = settings.links
    if links.keys:
        return Finding("ok", "links", f"{len(links.keys)} signing keys")
    if links.allow_unsigned:
        return Finding(
            "note", "links", "unsigned links are taken", "fit for development, not for the internet"
        )
    return Finding(
        "bad",
        "links",
        "no signing keys",
        "set FRAMEKEEP_LINKS_KEYS; `openssl rand -hex 32` makes one",
    )


def _cache(settings: Settings) -> Finding:
    folder = Path(settings.cache.dir)
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            "bad", "cache", f"{existing} cannot be written", "choose another FRAMEKEEP_CACHE_DIR"
        )
    free = shutil.disk_usage(existing).free
    if free < settings.cache.max_result_bytes:
        return Finding(
            "note",
            "cache",
            f"{folder} has {free:,} bytes free, less than the {settings.cache.max_result_bytes:,} it may use",
            "make room, or lower FRAMEKEEP_CACHE_MAX_RESULT_BYTES",
        )
    return Finding("ok", "cache", f"{folder}, {free:,} bytes free")


def _sandbox(settings: Settings) -> Finding:
    """A render process is started as the server would, and asked."""
    try:
        guards = asyncio.run(_guards(settings))
    except ProxyError as error:
        return Finding(
            "bad", "sandbox", f"no render process: {error}", "what it wrote above says why"
        )
    if not guards:
        return Finding(
            "note", "sandbox", "is switched off", "unset FRAMEKEEP_RENDER_SANDBOX to confine them"
        )
    missing = [f"{name} ({state})" for name, state in guards.items() if state != "on"]
    if missing:
        return Finding(
            "note",
            "sandbox",
            f"render processes run without {', '.join(missing)}",
            "a newer kernel, or a container profile that lets these calls through, has them",
        )
    return Finding("ok", "sandbox", ", ".join(guards))


async def _guards(settings: Settings) -> Mapping[str, str]:
    models = settings.models
    one = structs.replace(settings.render, processes=1)
    async with Renderers(one, imports=models.imports(), readable=models.readable_dirs()) as renderers:
        pool = Pool(renderers.directory, queue_seconds=60)
        return (await pool.run(ABOUT, None)).guards


def _addresses(settings: Settings) -> Finding:
    nets = settings.sources.allow_nets
    if not nets:
        return Finding("ok", "addresses", "only public ones are asked for originals")
    return Finding(
        "note",
        "addresses",
        f"public ones, and {', '.join(nets)}, are asked for originals",
        "whoever signs links reaches everything in these networks; name no more than is needed",
    )


def _metrics(settings: Settings) -> Finding:
    if settings.metrics.access == "open":
        return Finding(
            "note",
            "metrics",
            "everybody may read /metrics",
            "FRAMEKEEP_METRICS_ACCESS=private, or keys, keeps strangers out",
        )
    if settings.metrics.access == "keys" and not settings.metrics.keys:
        return Finding(
            "bad", "metrics", "nobody can read /metrics: no keys", "set FRAMEKEEP_METRICS_KEYS"
        )
    return Finding("ok", "metrics", f"{settings.metrics.access}: see FRAMEKEEP_METRICS_ACCESS")


def _traces(settings: Settings) -> Finding:
    if not settings.tracing.otel:
        return Finding("ok", "traces", "none")
    if find_spec("opentelemetry") is None:
        return Finding("bad", "traces", "OpenTelemetry is missing", "pip install 'framekeep[otel]'")
    return Finding("ok", "traces", "by OTLP, to where OTEL_EXPORTER_OTLP_ENDPOINT says")


def _models(settings: Settings) -> Finding:
    models = settings.models
    if complaint := models.complaint():
        return Finding("bad", "models", complaint, "`framekeep models install` makes it")
    installed = models.installed_files()
    if not installed:
        return Finding(
            "ok",
            "models",
            "none; the detectors that come along are used",
            "`framekeep models install` brings better ones",
        )
    if find_spec("onnxruntime") is None:
        return Finding("bad", "models", "onnxruntime is missing", "pip install 'framekeep[models]'")
    try:
        Eye(models).load()
    except ValueError as error:
        return Finding("bad", "models", str(error), "`framekeep models install` brings a good one")
    return Finding("ok", "models", ", ".join(str(path) for path in installed))
