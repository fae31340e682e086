"""The settings: one frozen struct per component, joined here. Only this module reads them.

``FRAMEKEEP_SECTION_NAME`` in the environment overrides ``[section] name`` in the TOML file that
``FRAMEKEEP_CONFIG`` names, which overrides the default. In the environment, lists are separated by
commas and tables are JSON objects. Every mistake stops the start, and all are reported together.
Variables that Kubernetes sets for Services whose names begin with ``framekeep`` are ignored.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct, field, structs

from proxy.api.admin import AdminConfig
from proxy.api.azure.common import AzureConfig
from proxy.api.http.api_keys import ApiConfig
from proxy.api.metrics import MetricsConfig
from proxy.api.pages.config import PagesConfig
from proxy.api.transform.config import TransformConfig
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.config import CacheConfig, SharedCacheConfig
from proxy.cache.peers import PeersConfig
from proxy.errors import ConfigError
from proxy.limits import Limits
from proxy.links.config import DEFAULT_DIALECT, LinksConfig
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.ipx.config import IpxConfig
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig
from proxy.render.config import OptimizationConfig, RenderConfig
from proxy.runtime.config import RuntimeConfig
from proxy.runtime.service_links import is_service_link
from proxy.server.config import ServerConfig
from proxy.smartcrop.models import ModelsConfig
from proxy.sources.config import SourceConfig
from proxy.telemetry.config import LogConfig, TracingConfig
from proxy.validation import (
    ValidationError,
    convert,
    field_schemas,
    is_secret,
    parse_file_value,
    parse_text,
)

PREFIX = "FRAMEKEEP_"
CONFIG_VARIABLE = "FRAMEKEEP_CONFIG"


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator can set."""

    server: ServerConfig = field(default_factory=ServerConfig)
    links: LinksConfig = field(default_factory=LinksConfig)
    imgproxy: ImgproxyConfig = field(default_factory=ImgproxyConfig)
    ipx: IpxConfig = field(default_factory=IpxConfig)
    thumbor: ThumborConfig = field(default_factory=ThumborConfig)
    imagor: ImagorConfig = field(default_factory=ImagorConfig)
    sources: SourceConfig = field(default_factory=SourceConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    shared_cache: SharedCacheConfig = field(default_factory=SharedCacheConfig)
    shared: PeersConfig = field(default_factory=PeersConfig)
    cdn: CdnConfig = field(default_factory=CdnConfig)
    admin: AdminConfig = field(default_factory=AdminConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    azure: AzureConfig = field(default_factory=AzureConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    pages: PagesConfig = field(default_factory=PagesConfig)
    limits: Limits = field(default_factory=Limits)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)

    def validate(self) -> None:
        """Raise ConfigError where a server with these settings would be open or could not work."""
        self.validate_keys()
        self.links.validate()
        self.models.validate()
        self.render.validate()
        self._validate_aliases()
        self.shared_cache.validate()
        self.shared.validate(
            has_bucket=bool(self.shared_cache.url),
            has_keys=bool(self.shared_cache.keys),
            port=self.server.port,
        )

    def _validate_aliases(self) -> None:
        for alias in self.api.allow_aliases:
            if alias not in self.sources.aliases:
                known = ", ".join(sorted(self.sources.aliases)) or "none"
                raise ConfigError(
                    f"FRAMEKEEP_API_ALLOW_ALIASES: {alias!r} is no source alias; those of "
                    f"FRAMEKEEP_SOURCES_ALIASES are: {known}"
                )

    def validate_keys(self) -> None:
        """Raise ConfigError where no native link would be valid.

        Every other dialect checks its own keys when it is mounted.
        """
        is_mounted = DEFAULT_DIALECT in self.links.mounts.values()
        links = self.links
        if is_mounted and not (links.keys or links.allow_unsigned or links.unsigned):
            raise ConfigError(
                "FRAMEKEEP_LINKS_KEYS is not set, so no link can be verified: set one or more keys "
                "in hexadecimal (`openssl rand -hex 32` prints one), or accept unsigned links: "
                "those that FRAMEKEEP_LINKS_UNSIGNED lists, or from everybody all of them with "
                "FRAMEKEEP_LINKS_ALLOW_UNSIGNED=true"
            )


class SettingInfo(Struct, frozen=True):
    """One setting as it is shown to an operator; secret values are only counted."""

    variable: str
    section: str
    name: str
    type: str
    default: str
    value: str
    origin: str
    description: str


class LoadedConfig(Struct, frozen=True):
    """The settings, and the origin of each variable: ``environment`` or the path of the file."""

    settings: Settings
    origins: dict[str, str]
    service_links: tuple[str, ...] = ()
    """The variables that Kubernetes has set for Services; they are not settings."""

    def service_links_message(self) -> str:
        """Describe the variables that were ignored, for the log; empty where there are none."""
        if not self.service_links:
            return ""
        names = ", ".join(self.service_links)
        message = f"variables of Kubernetes Services ignored: {names}"
        rows = {row.variable: row for row in describe_settings(self)}
        in_force = [
            f"{name} is {rows[name].value} ({rows[name].origin})"
            for name in self.service_links
            if name in rows
        ]
        if in_force:
            message += f"; settings with such a name keep their values: {', '.join(in_force)}"
        return f"{message}; `enableServiceLinks: false` in the pod removes these variables"


def load(environment: Mapping[str, str], kind: type[Settings] = Settings) -> LoadedConfig:
    """Read the settings from this environment and the file that it may name.

    Raises:
        ConfigError: a name is unknown, a value has the wrong type or is out of bounds, or the file
            cannot be read. The message has one line for each mistake.
    """
    mistakes: list[str] = []
    values: dict[str, dict[str, Any]] = {section.name: {} for section in structs.fields(kind)}
    origins: dict[str, str] = {}
    service_links: list[str] = []
    known = {
        _variable(section, name): (section, name, struct) for section, name, struct in _fields(kind)
    }

    if file := environment.get(CONFIG_VARIABLE):
        _load_file(file, known, values, mistakes)
        origins = {_variable(section, name): file for section in values for name in values[section]}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if is_service_link(variable, text, known):
            service_links.append(variable)
            continue
        if variable not in known:
            mistakes.append(f"{variable} is not a setting; {_suggestion(variable, known)}")
            continue
        section, name, struct = known[variable]
        try:
            values[section][name] = parse_text(struct, name, text)
        except ValidationError as error:
            mistakes.append(f"{variable}: {error.reason}")
        origins[variable] = "environment"

    sections = {
        section.name: _convert_section(section.name, section.type, values[section.name], mistakes)
        for section in structs.fields(kind)
    }
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return LoadedConfig(
        msgspec.convert(sections, kind), origins, service_links=tuple(sorted(service_links))
    )


def _load_file(
    file: str,
    known: Mapping[str, tuple[str, str, type[Struct]]],
    values: dict[str, dict[str, Any]],
    mistakes: list[str],
) -> None:
    """Read the values of the TOML file."""
    for section, name, value in _read_file(Path(file), mistakes):
        variable = _variable(section, name)
        if variable not in known:
            hint = _suggestion(variable, known)
            mistakes.append(f"{file}: [{section}] {name} is not a setting; {hint}")
            continue
        try:
            values[section][name] = parse_file_value(known[variable][2], name, value)
        except ValidationError as error:
            mistakes.append(f"{file}: [{section}] {name}: {error.reason}")


def describe_settings(loaded: LoadedConfig) -> list[SettingInfo]:
    """Describe every setting, in the order of the structs."""
    return [
        SettingInfo(
            variable=(variable := _variable(section, name)),
            section=section,
            name=name,
            type=_type(struct, name),
            default=_text(_default(struct, name)),
            value=_value(struct, name, getattr(loaded.settings, section)),
            origin=loaded.origins.get(variable, "default"),
            description=field_schemas(struct)[name][0].get("description", ""),
        )
        for section, name, struct in _fields(type(loaded.settings))
    ]


def _fields(kind: type[Settings]) -> Iterator[tuple[str, str, type[Struct]]]:
    for section in structs.fields(kind):
        for setting in structs.fields(section.type):
            yield section.name, setting.name, section.type


def _variable(section: str, name: str) -> str:
    return f"{PREFIX}{section}_{name}".upper()


def _suggestion(variable: str, known: Iterable[str]) -> str:
    # Without the prefix, which would make all names alike.
    names = [name.removeprefix(PREFIX) for name in known]
    close = get_close_matches(variable.removeprefix(PREFIX), names, n=1, cutoff=0.7)
    if close:
        return f"did you mean {PREFIX}{close[0]}?"
    return "`framekeep config` lists all settings"


def _read_file(file: Path, mistakes: list[str]) -> Iterator[tuple[str, str, Any]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(f"{CONFIG_VARIABLE}={str(file)!r}: {error.strerror}")
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(f"{file}: the file is not valid TOML: {error}")
        return
    for section, table in tables.items():
        if isinstance(table, dict):
            yield from ((section, name, value) for name, value in table.items())
        else:
            mistakes.append(f"{file}: {section!r} must be inside a [section]")


def _convert_section(
    section: str, kind: type[Struct], values: dict[str, Any], mistakes: list[str]
) -> Struct:
    """Make the section of the values that are valid, and report the others."""
    while True:
        try:
            return convert(kind, values)
        except ValidationError as error:
            variable = _variable(section, error.field) if error.field else f"[{section}]"
            shown = error.field in values and not is_secret(kind, error.field)
            shown &= not error.names_value
            given = f"={values[error.field]!r}" if shown else ""
            mistakes.append(f"{variable}{given}: {error.reason}")
            if error.field not in values:
                return kind()
            values = {name: value for name, value in values.items() if name != error.field}


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
_TYPE_NAMES = {"array": "list", "object": "table", "null": "nothing", "string": "text"}


def _type(struct: type[Struct], name: str) -> str:
    return " or ".join(_describe_schema(schema) for schema in field_schemas(struct)[name])


def _describe_schema(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    name = str(schema.get("type", "text"))
    bounds = ", ".join(f"{sign} {schema[key]:,}" for key, sign in _BOUNDS if key in schema)
    return f"{_TYPE_NAMES.get(name, name)} {bounds}".strip()


def _default(struct: type[Struct], name: str) -> object:
    info = next(info for info in structs.fields(struct) if info.name == name)
    if info.default is not NODEFAULT:
        return info.default
    return info.default_factory() if callable(info.default_factory) else None


def _value(struct: type[Struct], name: str, section: Struct) -> str:
    value = getattr(section, name)
    if is_secret(struct, name):
        return f"({len(value)} set)" if value else ""
    return _text(value)


def _text(value: object) -> str:
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
