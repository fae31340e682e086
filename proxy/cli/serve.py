"""Serve pictures. --dev: on loopback, unsigned links, a sample source, and three links to try."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import MutableMapping
from importlib.resources import files

import msgspec

from proxy.app import from_environment
from proxy.config import load
from proxy.render.manager import Renderers
from proxy.server.supervisor import serve
from proxy.telemetry.logging import configure

_TRY = (
    ("avatar", "smart_crop:200:200/sharpen:0.5/convert:webp:85"),
    ("card", "smart_crop:800:600/sharpen:0.5/convert:webp:85"),
    ("social", "smart_crop:1200:630/sharpen:0.5/convert:webp:85"),
)


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", help="the address to listen on")
    parser.add_argument("--port", type=int, help="the port to listen on")
    parser.add_argument("--workers", type=int, help="HTTP workers")
    parser.add_argument("--dev", action="store_true", help="for trying things on this machine")


def run(chosen: Namespace, environment: MutableMapping[str, str] = os.environ) -> int:
    for name in ("host", "port", "workers"):
        value = getattr(chosen, name)
        if value is not None:
            environment[f"FRAMEKEEP_SERVER_{name.upper()}"] = str(value)
    if chosen.dev:
        _prepare(environment)
    settings = load(environment).settings
    settings.check()
    settings.check_libraries()
    configure(settings.log)
    models = settings.models
    renderers = Renderers(
        settings.render, imports=models.imports(), readable=models.readable_dirs(), log=settings.log
    )
    return serve(
        settings.server,
        renderers,
        make_app=from_environment,
        ready=_invite if chosen.dev else _announce,
    )


def _announce(address: str) -> None:
    print(f"Framekeep on {address}", flush=True)


def _invite(address: str) -> None:
    print(f"Framekeep on {address}; three links to try:\n")
    for name, steps in _TRY:
        print(f"  {name:<7} {address}/_/{steps}/demo:beach.jpg")
    print("\nCtrl-C ends it.", flush=True)


def _prepare(environment: MutableMapping[str, str]) -> None:
    """What a first try needs, where nothing else was said."""
    environment.setdefault("FRAMEKEEP_SERVER_HOST", "127.0.0.1")
    environment.setdefault("FRAMEKEEP_LINKS_ALLOW_UNSIGNED", "true")
    environment.setdefault("FRAMEKEEP_TRACING_SERVER_TIMING", "true")
    if not environment.get("FRAMEKEEP_API_KEYS"):
        environment.setdefault("FRAMEKEEP_API_ALLOW_ANONYMOUS", "true")
    demo = {"demo": f"file://{files('proxy') / 'data' / 'demo'}"}
    environment.setdefault("FRAMEKEEP_SOURCES_ALIASES", msgspec.json.encode(demo).decode())
