"""The settings: one frozen struct per engine, joined here; the only reader of the environment.

``FRAMEKEEP_SECTION_NAME`` in the environment wins over ``[section] name`` in the TOML file that
``FRAMEKEEP_CONFIG`` names, which wins over the default. Lists are divided by commas; tables are
JSON objects in the environment. Every mistake stops the start, all of them are told at once.
"""

import ast
import inspect
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct, field, structs

from proxy.api.admin import AdminConfig
from proxy.api.azure.common import AzureConfig
from proxy.api.http.api_keys import ApiConfig
from proxy.api.metrics import MetricsConfig
from proxy.api.transform.endpoint import TransformConfig
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.disk import CacheConfig
from proxy.cache.freshness import FreshnessConfig
from proxy.cache.shared import SharedCacheConfig
from proxy.errors import ConfigError
from proxy.imaging.advisories import holes, installed
from proxy.limits import Limits
from proxy.links.native import LinksConfig
from proxy.render.protocol import RenderConfig
from proxy.server.config import ServerConfig
from proxy.smartcrop.models import ModelsConfig
from proxy.sources.config import SourceConfig
from proxy.telemetry.logging import LogConfig
from proxy.validation import Misfit, converted, from_text, options, secret

PREFIX = "FRAMEKEEP_"
CONFIG = "FRAMEKEEP_CONFIG"


class TracingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the time of a request went, told for each request."""

    otel: bool = False
    """Whether spans go to an OpenTelemetry collector; needs the extra `otel`, and is told where the
    collector is by OpenTelemetry's own `OTEL_EXPORTER_OTLP_ENDPOINT`."""

    server_timing: bool = False
    """Whether every answer says in `Server-Timing` how long each stage took, and not only where a
    link has the word `debug`. For development."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator can set."""

    server: ServerConfig = field(default_factory=ServerConfig)
    links: LinksConfig = field(default_factory=LinksConfig)
    sources: SourceConfig = field(default_factory=SourceConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    shared_cache: SharedCacheConfig = field(default_factory=SharedCacheConfig)
    freshness: FreshnessConfig = field(default_factory=FreshnessConfig)
    cdn: CdnConfig = field(default_factory=CdnConfig)
    admin: AdminConfig = field(default_factory=AdminConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    azure: AzureConfig = field(default_factory=AzureConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    limits: Limits = field(default_factory=Limits)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)

    def check(self) -> None:
        """Refuse to serve what nobody asked to be open. Raises ConfigError."""
        if not self.links.keys and not self.links.allow_unsigned:
            raise ConfigError(
                "no links could be trusted: set FRAMEKEEP_LINKS_KEYS to one key or more in "
                "hexadecimal (`openssl rand -hex 32` makes one), or take unsigned links from "
                "everybody with FRAMEKEEP_LINKS_ALLOW_UNSIGNED=true"
            )
        for complaint in (
            self.models.complaint(),
            self.cdn.complaint(),
            self.shared_cache.complaint(),
        ):
            if complaint:
                raise ConfigError(complaint)

    def check_libraries(self) -> None:
        """Refuse to serve with decoders that a picture could take over. Raises ConfigError."""
        if found := list(holes(installed(), self.limits.allow_source_formats, self.render.patched)):
            raise ConfigError("\n".join(found))


class Setting(Struct, frozen=True):
    """One setting, told to a reader."""

    variable: str
    form: str
    default: str
    value: str
    origin: str
    meaning: str


class Loaded(Struct, frozen=True):
    """Settings, and for each variable that was set, where: ``environment`` or the file's name."""

    settings: Settings
    origins: dict[str, str]


def load(environment: Mapping[str, str], kind: type[Settings] = Settings) -> Loaded:
    """The settings of this environment and the file that it may name.

    Raises:
        ConfigError: a name is unknown, a value has the wrong form or is out of bounds, or the file
            cannot be read.
    """
    complaints: list[str] = []
    values: dict[str, dict[str, Any]] = {section.name: {} for section in structs.fields(kind)}
    origins: dict[str, str] = {}
    known = {variable: place for variable, *place in _places(kind)}

    file = environment.get(CONFIG)
    if file:
        for section, name, value in _from_file(Path(file), complaints):
            variable = _variable(section, name)
            if variable not in known:
                complaints.append(f"{file}: [{section}] has no setting {name!r}")
            else:
                values[section][name] = value
                origins[variable] = file
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CONFIG:
            continue
        if variable not in known:
            complaints.append(f"{variable} is no setting; `framekeep config` lists them all")
            continue
        section, name = known[variable]
        values[section][name] = from_text(_section(kind, section), name, text)
        origins[variable] = "environment"

    sections = {
        section.name: _checked(section.name, section.type, values[section.name], complaints)
        for section in structs.fields(kind)
    }
    if complaints:
        raise ConfigError("\n".join(complaints))
    return Loaded(msgspec.convert(sections, kind), origins)


def described(loaded: Loaded) -> list[Setting]:
    """Every setting with its form, default, value, where that comes from, and what it means."""
    kind = type(loaded.settings)
    return [
        Setting(
            variable=variable,
            form=_form(_section(kind, section), name),
            default=_shown(_default(_section(kind, section), name)),
            value=_value(_section(kind, section), name, getattr(loaded.settings, section)),
            origin=loaded.origins.get(variable, "default"),
            meaning=meanings(_section(kind, section))[name],
        )
        for variable, section, name in _places(kind)
    ]


def meanings(kind: type[Struct]) -> dict[str, str]:
    """What stands in the docstring under each field, its bases' fields first, on one line each."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__[: kind.__mro__.index(Struct)]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for statement, follower in pairwise(body):
            match statement, follower:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    told[name] = " ".join(text.split())
    return told


def _places(kind: type[Settings]) -> Iterator[tuple[str, str, str]]:
    for section in structs.fields(kind):
        for setting in structs.fields(section.type):
            yield _variable(section.name, setting.name), section.name, setting.name


def _variable(section: str, name: str) -> str:
    return f"{PREFIX}{section}_{name}".upper()


def _section(kind: type[Settings], name: str) -> type[Struct]:
    section: type[Struct] = next(one.type for one in structs.fields(kind) if one.name == name)
    return section


def _from_file(file: Path, complaints: list[str]) -> Iterator[tuple[str, str, Any]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        complaints.append(f"{CONFIG}={str(file)!r}: {error.strerror}")
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        complaints.append(f"{file}: this is no TOML: {error}")
        return
    for section, table in tables.items():
        if isinstance(table, dict):
            yield from ((section, name, value) for name, value in table.items())
        else:
            complaints.append(f"{file}: {section!r} must stand in a [section]")


def _checked(
    section: str, kind: type[Struct], values: dict[str, Any], complaints: list[str]
) -> Struct:
    """The section with these values; what does not fit is complained of and left out."""
    while True:
        try:
            return converted(kind, values)
        except Misfit as error:
            variable = _variable(section, error.field) if error.field else f"[{section}]"
            given = f"={values[error.field]!r}" if error.field in values else ""
            hidden = error.field and secret(kind, error.field)
            sentence = str(error).removeprefix(f"{error.field}: ")
            complaints.append(f"{variable}{'' if hidden else given}: {sentence}")
            if error.field not in values:
                return kind()
            values = {name: value for name, value in values.items() if name != error.field}


def _form(kind: type[Struct], name: str) -> str:
    return " or ".join(_option(option) for option in options(kind)[name])


_BOUNDS = (
    ("minimum", ">="),
    ("exclusiveMinimum", ">"),
    ("maximum", "<="),
    ("exclusiveMaximum", "<"),
    ("minLength", "characters >="),
    ("maxLength", "characters <="),
    ("minItems", "items >="),
    ("maxItems", "items <="),
)
_PLAIN = {"array": "list", "object": "table", "null": "nothing", "string": "text"}


def _option(about: Mapping[str, Any]) -> str:
    if "enum" in about:
        return ", ".join(str(value) for value in about["enum"])
    name = str(about.get("type", "text"))
    bounds = ", ".join(f"{sign} {about[key]:,}" for key, sign in _BOUNDS if key in about)
    return f"{_PLAIN.get(name, name)} {bounds}".strip()


def _default(kind: type[Struct], name: str) -> object:
    about = next(one for one in structs.fields(kind) if one.name == name)
    if about.default is not NODEFAULT:
        return about.default
    return about.default_factory() if callable(about.default_factory) else None


def _value(kind: type[Struct], name: str, section: Struct) -> str:
    value = getattr(section, name)
    if secret(kind, name):
        return f"({len(value)} set)" if value else ""
    return _shown(value)


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case tuple() | list() if all(isinstance(part, str) for part in value):
            return ",".join(value)
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()
