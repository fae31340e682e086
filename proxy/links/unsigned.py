"""Unsigned links within bounds: presets alone, or the values of lists, for each source.

What is checked is the final plan, after presets, choices and ``dpr``. So that the lists bound the
number of renditions, each operation may come once, and a value that no list is for must be the
default, a word or a switch.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from proxy.errors import ConfigError, InvalidLink, InvalidSignature, ProxyError
from proxy.links.parsed_link import ParsedLink
from proxy.links.parser import StepParser
from proxy.links.unsigned_config import UnsignedConfig
from proxy.operations.operation import Operation, format_operation, operation_name
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.originals import source_host
from proxy.validation import field_schemas

ANY_SOURCE = "*"
_VARIABLE = "FRAMEKEEP_LINKS_UNSIGNED"
_WIDTHS = frozenset(("width_in_px", "min_width_in_px", "width"))
_HEIGHTS = frozenset(("height_in_px", "min_height_in_px", "height"))
_QUALITIES = frozenset(("quality", "jpeg", "webp", "avif", "heif", "jxl"))
_RESPONSE_OPTIONS = frozenset(("filename", "attachment", "fallback"))
_PLAN_OPTIONS = frozenset(("preset", "dpr", "round", "save_data"))
"""Link options whose effect is in the plan."""


class _Bounds(Struct, frozen=True):
    config: UnsignedConfig
    names: frozenset[str]
    steps: frozenset[str]
    """Whole steps, with every default."""

    def has_step(self, name: str) -> bool:
        return any(step.partition(":")[0] == name for step in self.steps)


class UnsignedBounds:
    def __init__(
        self,
        settings: Mapping[str, UnsignedConfig],
        operations: OperationRegistry,
        steps: StepParser,
        aliases: frozenset[str],
    ) -> None:
        """``settings`` by ``ALIAS:``, by host, or by ``*``. Raises ConfigError."""
        for key in settings:
            alias = key.removesuffix(":")
            is_known = alias in aliases if alias != key else bool(key) and not set(key) & set("/:@")
            if not is_known or key != key.lower():
                raise ConfigError(
                    f"{_VARIABLE}: {key!r} is none of: ALIAS: with an alias of "
                    "FRAMEKEEP_SOURCES_ALIASES, a host in lower case, or * for all other sources"
                )
        self._bounds = {
            key: _open(key, value, operations, steps) for key, value in settings.items()
        }

    def __bool__(self) -> bool:
        return bool(self._bounds)

    def check(self, link: ParsedLink, source: str, *, allow_others: bool) -> None:
        """Raise InvalidLink for a link out of bounds, InvalidSignature for a source without any.

        ``allow_others`` accepts whatever is asked of a source without bounds. ``link`` has no open
        fields any more.
        """
        bounds = self._find(source)
        if bounds is None:
            if allow_others:
                return
            raise InvalidSignature(
                f"unsigned links are not allowed for this source ({_VARIABLE} has neither it nor *)"
            )
        written = [name for name in link.written if name not in _RESPONSE_OPTIONS]
        if link.preset and written in ([], ["preset"]):
            return
        for name in written:
            if name not in _PLAN_OPTIONS and name not in bounds.names and not bounds.has_step(name):
                allowed = ", ".join(sorted(bounds.config.operations)) or "none"
                raise InvalidLink(
                    f"{name} is not allowed in unsigned links ({_VARIABLE} allows presets, and the "
                    f"operations: {allowed})"
                )
        _check_plan(link.plan, bounds)
        if not link.plan.operations:
            raise InvalidLink(
                f"unsigned links need a preset or an operation ({_VARIABLE} allows no originals)"
            )

    def _find(self, source: str) -> _Bounds | None:
        is_url = source.startswith(("http://", "https://"))
        key = source_host(source).lower() if is_url else f"{source.partition(':')[0]}:"
        return self._bounds.get(key) or self._bounds.get(ANY_SOURCE)


def _open(
    key: str, config: UnsignedConfig, operations: OperationRegistry, parser: StepParser
) -> _Bounds:
    names: set[str] = set()
    steps: set[str] = set()
    for text in config.operations:
        name, colon, _ = text.partition(":")
        try:
            operations.get(name)
            if colon:
                steps.update(_spell(operation) for operation in parser.parse([text]).plan)
            else:
                names.add(name)
        except ProxyError as error:
            raise ConfigError(f"{_VARIABLE}: {key!r}: operations: {text!r}: {error}") from error
    return _Bounds(config, frozenset(names), frozenset(steps))


def _check_plan(plan: Plan, bounds: _Bounds) -> None:
    names = [operation_name(operation) for operation in plan]
    for name, operation in zip(names, plan, strict=True):
        if names.count(name) > 1:
            raise InvalidLink(
                f"{name} comes more than once, which unsigned links do not allow ({_VARIABLE})"
            )
        if _spell(operation) in bounds.steps:
            continue
        if name not in bounds.names:
            raise InvalidLink(
                f"{name} with these values is not allowed in unsigned links ({_VARIABLE})"
            )
        _check_values(operation, bounds.config)


def _check_values(operation: Operation, config: UnsignedConfig) -> None:
    name = operation_name(operation)
    schemas = field_schemas(type(operation))
    for field in structs.fields(type(operation)):
        value = getattr(operation, field.name)
        if value is None or value == field.default:
            continue
        allowed: Sequence[object] = ()
        if field.name in _WIDTHS:
            allowed = config.widths
        elif field.name in _HEIGHTS:
            allowed = config.heights
        elif field.name == "format":
            allowed = config.formats
        elif field.name in _QUALITIES:
            allowed = config.qualities
        elif isinstance(value, bool) or any(
            value in (*schema.get("enum", ()), *schema.get("examples", ()))
            for schema in schemas[field.name]
        ):
            continue
        if value not in allowed:
            listed = ", ".join(map(str, allowed)) or "none"
            raise InvalidLink(
                f"{name}: {field.name}: {value} is not allowed in unsigned links; allowed: "
                f"{listed} ({_VARIABLE})"
            )


def _spell(operation: Operation) -> str:
    return format_operation(operation, with_defaults=True)
