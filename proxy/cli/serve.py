"""Start the server.

With --dev it listens on loopback, accepts unsigned links, has a sample source
named `demo` beside your own, fetches from servers on this machine, has a cache
of its own, logs requests in a readable form, and prints three links to try.
"""

import logging
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import MutableMapping
from functools import partial

from proxy.app import from_environment
from proxy.cli.development import set_dev_defaults
from proxy.cli.parser import whole_number
from proxy.config import Settings, load
from proxy.render.child_process import ForkedProcess
from proxy.render.manager import RenderProcessManager
from proxy.server.config import MAX_WORKERS
from proxy.server.supervisor import serve
from proxy.smartcrop.registry import detector_imports
from proxy.sources.net.ip_policy import is_loopback
from proxy.telemetry.logging import configure

logger = logging.getLogger("framekeep.serve")

EXAMPLES = """\
examples:
  framekeep serve --dev
  FRAMEKEEP_LINKS_KEYS=$(openssl rand -hex 32) framekeep serve --host 0.0.0.0 --workers 4
"""

_SAMPLE_LINKS = (
    ("avatar", "smart_crop:200:200/sharpen:0.5/convert:webp:85"),
    ("card", "smart_crop:800:600/sharpen:0.5/convert:webp:85"),
    ("social", "smart_crop:1200:630/sharpen:0.5/convert:webp:85"),
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument(
        "--port", type=whole_number(0, 65_535), help="port to listen on; 0 is any free one"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(0, MAX_WORKERS),
        help="number of HTTP workers; 0: one for each two cores",
    )
    parser.add_argument(
        "--dev", action="store_true", help="development mode, for this machine only"
    )


def run(args: Namespace, environment: MutableMapping[str, str] = os.environ) -> int:
    for name in ("host", "port", "workers"):
        value = getattr(args, name)
        if value is not None:
            environment[f"FRAMEKEEP_SERVER_{name.upper()}"] = str(value)
    if args.dev:
        set_dev_defaults(environment)
    loaded = load(environment)
    settings = loaded.settings
    configure(settings.log)
    exposure = describe_exposure(settings) if args.dev else ""
    if exposure:
        logger.warning(exposure)
    if message := loaded.service_links_message():
        logger.info(message)
    # In a process of its own: it may start threads, and this one must not, as it forks workers.
    if status := ForkedProcess(partial(_check, settings), pass_fds=()).wait():
        return max(status, 1)
    models = settings.models
    render_processes = RenderProcessManager(
        settings.render,
        preload=detector_imports(models),
        readable_paths=models.readable_dirs(),
        log=settings.log,
        runtime_dir=settings.runtime.directory(),
        task_seconds=settings.limits.render_wall_timeout_seconds,
    )
    show = partial(_print_dev_links, exposure) if args.dev else _print_address
    return serve(
        settings.server,
        render_processes,
        make_app=from_environment,
        on_ready=lambda address: show(address + settings.server.path_prefix),
    )


def _check(settings: Settings) -> int:
    """Report what prevents the start or would surprise; return the exit status."""
    # It imports numpy, which neither the supervisor nor its workers need: a seventh of their start.
    from proxy.cli.startup_checks import run_startup_checks  # noqa: PLC0415

    status = 0
    for result in run_startup_checks(settings):
        if result.state == "bad":
            sys.stderr.write(f"{result.message}\n")
            status = 2
        elif result.state == "note":
            logger.warning("%s; %s", result.message, result.advice)
    return status


def _print_address(address: str) -> None:
    print(f"Framekeep on {address}", flush=True)


def describe_exposure(settings: Settings) -> str:
    """Say what is open to whom in development mode; empty where only this machine can connect."""
    host = settings.server.host
    if host == "localhost" or is_loopback(host):
        return ""
    opened = [
        *(["links need no signature"] if settings.links.allow_unsigned else []),
        *(["the APIs need no key"] if settings.api.allow_anonymous else []),
    ]
    if not opened:
        return ""
    return (
        f"OPEN TO EVERYBODY who can reach this machine: development mode listens on {host}, and "
        f"{' and '.join(opened)}; use 127.0.0.1, or start without --dev"
    )


def _print_dev_links(exposure: str, address: str) -> None:
    if exposure:
        print(f"{exposure}\n")
    print(f"Framekeep on {address}; three links to try:\n")
    for name, steps in _SAMPLE_LINKS:
        print(f"  {name:<7} {address}/_/{steps}/demo:beach.jpg")
    print(f"\nPlayground: {address}/playground")
    print("\nCtrl-C stops the server.", flush=True)
