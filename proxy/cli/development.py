"""The settings of development mode, which `--dev` chooses."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, MutableMapping
from importlib.resources import files

import msgspec

from proxy.config import Settings, load

_LOOPBACK = ("127.0.0.0/8", "::1/128")

_DEFAULTS = {
    "FRAMEKEEP_SERVER_HOST": "127.0.0.1",
    "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
    "FRAMEKEEP_PAGES_PLAYGROUND": "open",
    "FRAMEKEEP_TRACING_SERVER_TIMING": "true",
    "FRAMEKEEP_TRANSFORM_ALLOW_HTTP": "true",
}
"""What development mode sets unless the environment does, also against the file of settings."""

_SOFT_DEFAULTS = {
    "FRAMEKEEP_CACHE_DIR": "~/.cache/framekeep-dev",
    "FRAMEKEEP_LOG_FORMAT": "text",
    "FRAMEKEEP_LOG_ACCESS": "all",
}
"""What it sets unless the environment or the file does."""


def add_dev_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dev",
        action="store_true",
        help="use the settings of development mode, as `framekeep serve --dev` does",
    )


def load_settings(args: Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings, those of development mode where the arguments ask for it."""
    if not args.dev:
        return load(environment).settings
    changed = dict(environment)
    set_dev_defaults(changed)
    return load(changed).settings


def set_dev_defaults(environment: MutableMapping[str, str]) -> None:
    """Add the defaults of development mode. Raises ConfigError where a setting is wrong.

    The sample source joins those of the operator, and loopback the networks of the operator.
    """
    loaded = load(environment)
    given, sources = loaded.origins, loaded.settings.sources
    for variable, value in _DEFAULTS.items():
        environment.setdefault(variable, value)
    for variable, value in _SOFT_DEFAULTS.items():
        if variable not in given:
            environment[variable] = value
    if not environment.get("FRAMEKEEP_API_KEYS"):
        environment.setdefault("FRAMEKEEP_API_ALLOW_ANONYMOUS", "true")
    networks = dict.fromkeys((*sources.allow_nets, *_LOOPBACK))
    environment["FRAMEKEEP_SOURCES_ALLOW_NETS"] = ",".join(networks)
    aliases = {"demo": f"file://{files('proxy') / 'data' / 'demo'}", **sources.aliases}
    environment["FRAMEKEEP_SOURCES_ALIASES"] = msgspec.json.encode(aliases).decode()
