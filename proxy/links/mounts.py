"""Several dialects on one server, each below a path prefix."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from proxy.errors import ConfigError, InvalidLink, InvalidOperation, InvalidSignature, InvalidSource
from proxy.image_request import ImageRequest
from proxy.limits import Limits
from proxy.links import DIALECTS
from proxy.links.client_hints import NO_HEADERS
from proxy.links.config import DEFAULT_DIALECT, LinksConfig
from proxy.links.dialect import (
    BoundedDialect,
    Dialect,
    DialectContext,
    DialectFactory,
    parse_link,
)
from proxy.links.fallback import Fallbacks
from proxy.links.native import NativeDialect, Rule
from proxy.links.recognition import find_usual_prefix, has_grammar, recognize
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.telemetry.request_context import set_dialect


class Mount(Struct, frozen=True):
    """A dialect where it is served; ``name`` is its name in the settings."""

    name: str
    dialect: Dialect


class UnsignedLinks:
    """Builds unsigned links, whatever keys the server has."""

    def __init__(self, base: str, dialect: NativeDialect | None) -> None:
        """``dialect`` has no keys; None where the native dialect is not mounted."""
        self._base = base
        self._dialect = dialect

    def build(self, request: ImageRequest) -> str:
        """Build the path of a request. Raises InvalidLink where there is no such link."""
        return self._base + self._native().build(request)

    def build_link(self, source: str, steps: Sequence[str]) -> str:
        """Build the path of a source and steps. Raises as `MountedDialects.build_link` does."""
        return self._base + self._native().build_link(source, steps)

    def _native(self) -> NativeDialect:
        if self._dialect is None:
            raise InvalidLink(
                "unsigned links need the native dialect, which is not mounted "
                "(FRAMEKEEP_LINKS_MOUNTS)"
            )
        return self._dialect


class MountedDialects:
    """A dialect that hands each path to the one that is mounted at its first segment.

    The prefix is cut off the raw path, so a dialect sees the same bytes wherever it is mounted. A
    path without a known prefix belongs to the dialect at the root. What a dialect other than the
    native one parses gets the tag ``dialect:NAME``.
    """

    def __init__(
        self, mounts: Mapping[str, Mount], context: DialectContext, path_prefix: str = ""
    ) -> None:
        """``mounts`` by prefix, without slashes; the empty prefix is the root.

        ``path_prefix``, such as ``/img``, comes before all of them: it is that of the server.
        """
        self._mounts = dict(mounts)
        self._path_prefix = path_prefix.encode()
        self._by_segment = {prefix.encode(): mount for prefix, mount in mounts.items()}
        self._root = self._by_segment.pop(b"", None)
        self._builder = self._choose_builder()
        self._context = context

    @classmethod
    def from_config(
        cls,
        config: LinksConfig,
        operations: OperationRegistry,
        *,
        aliases: Collection[str] = (),
        limits: Limits | None = None,
        dialects: Mapping[str, DialectFactory] = DIALECTS,
        path_prefix: str = "",
        sections: Collection[object] = (),
    ) -> "MountedDialects":
        """Mount the dialects of the settings. Raises ConfigError, naming the setting.

        ``sections`` of the settings hold what is of one dialect only.
        """
        try:
            context = DialectContext(
                operations, config, aliases=aliases, limits=limits, sections=sections
            )
        except ValueError as error:
            raise ConfigError(f"FRAMEKEEP_LINKS_PRESETS: {error}") from error
        mounts: dict[str, Mount] = {}
        for prefix, name in config.mounts.items():
            if name not in dialects:
                raise ConfigError(
                    f"FRAMEKEEP_LINKS_MOUNTS: unknown dialect {name!r}; the dialects are: "
                    f"{', '.join(sorted(dialects))}"
                )
            try:
                mounts[prefix] = Mount(name, dialects[name](context))
            except ValueError as error:
                raise ConfigError(f"FRAMEKEEP_LINKS_MOUNTS: dialect {name!r}: {error}") from error
        return cls(mounts, context, path_prefix)

    @property
    def fallbacks(self) -> Fallbacks:
        return self._context.fallbacks

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the mounted dialects, each once."""
        return tuple(dict.fromkeys(mount.name for mount in self._mounts.values()))

    @property
    def prefixes(self) -> frozenset[str]:
        """The first segments that belong to a dialect; the root has none."""
        return frozenset(segment.decode() for segment in self._by_segment)

    def describe(self) -> str:
        """Say which dialect is served where, such as ``native at /, imgproxy at /imgproxy/``."""
        return ", ".join(
            f"{self._mounts[prefix].name} at {self._path_of(prefix)}"
            for prefix in sorted(self._mounts)
        )

    def describe_bounds(self, name: str) -> Iterator[str]:
        """Say what the settings allow the links of a mounted dialect; nothing where keys do."""
        for mount in self._mounts.values():
            if mount.name == name and isinstance(mount.dialect, BoundedDialect):
                yield from mount.dialect.describe_bounds()
                return

    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path as `parse_with_headers` does, for a client without client hints."""
        return self.parse_with_headers(path, NO_HEADERS)

    def parse_with_headers(self, path: bytes, headers: Mapping[bytes, bytes]) -> ImageRequest:
        """Parse a raw path with its query string; the mounted dialect verifies its signature.

        Raises a RequestError or LinkError that names what is wrong.
        """
        mount, rest = self._find(path)
        set_dialect(mount.name)
        try:
            request = parse_link(mount.dialect, rest, headers)
        except (InvalidLink, InvalidSignature, InvalidSource) as error:
            if hint := self._hint(mount.name, rest):
                raise type(error)(f"{error}; {hint}", detail=error.detail) from error
            raise
        except InvalidOperation as error:
            if hint := self._hint(mount.name, rest):
                raise InvalidOperation(
                    f"{error}; {hint}", operation=error.operation, field=error.field
                ) from error
            raise
        return request if mount.name == DEFAULT_DIALECT else _with_dialect(request, mount.name)

    def build(self, request: ImageRequest) -> str:
        """Build the path of a request: in the native dialect, wherever it is mounted.

        Without it, in the dialect of the root, or else of the first prefix. Raises InvalidLink.
        """
        prefix, mount = self._builder
        return self._path_of(prefix).rstrip("/") + mount.dialect.build(request)

    def without_keys(self) -> UnsignedLinks:
        """Return what builds unsigned links: in the native dialect, wherever it is mounted."""
        prefix, mount = self._builder
        is_native = mount.name == DEFAULT_DIALECT
        dialect = NativeDialect(self._context.without_keys()) if is_native else None
        return UnsignedLinks(self._path_of(prefix).rstrip("/"), dialect)

    def build_link(
        self, source: str, steps: Sequence[str], choice: Sequence[str] | None = None
    ) -> str:
        """Build the path of a source and steps as in a native link, as `build` does.

        A native link keeps the names of presets, and may have open fields, for which ``choice`` has
        values. Raises InvalidLink, InvalidOperation or
        InvalidSource, naming the step.
        """
        prefix, mount = self._builder
        if not isinstance(mount.dialect, NativeDialect):
            if choice is not None:
                raise InvalidLink("choose: only links of the dialect native have open fields")
            return self.build(self.make_request(source, steps))
        return self._path_of(prefix).rstrip("/") + mount.dialect.build_link(source, steps, choice)

    def read_rule(self, path: bytes) -> Rule | None:
        """Return what a native link with open fields allows; None for other links.

        Raises as `parse` does.
        """
        mount, rest = self._find(path)
        return mount.dialect.read_rule(rest) if isinstance(mount.dialect, NativeDialect) else None

    def parse_rule(self, steps: Sequence[str]) -> Rule:
        """Return what native steps with open fields allow.

        Raises InvalidLink or InvalidOperation, naming the step.
        """
        rule = self._context.steps.parse_rule(steps)
        count = self._context.steps.count_renditions(rule)
        return Rule.from_link(rule, count, has_choice=False)

    def native_link(self, request: ImageRequest) -> str:
        """Build the native link that means the same, at the root where none is mounted.

        Raises InvalidLink or InvalidSource for a request that has none, such as an upload.
        """
        if self._builder[1].name == DEFAULT_DIALECT:
            return self.build(request)
        return DIALECTS[DEFAULT_DIALECT](self._context).build(request)

    def make_request(self, source: str, steps: Sequence[str]) -> ImageRequest:
        """Make a request from a source and steps, as `DialectContext.make_request` does."""
        return self._context.make_request(source, steps)

    def parse_steps(self, steps: Sequence[str]) -> Plan:
        """Parse steps as in a native link, with presets. Raises InvalidLink or InvalidOperation."""
        return self._context.steps.parse(steps).plan

    @property
    def native_base(self) -> str | None:
        """The path in front of native links; None where the native dialect is not mounted."""
        prefix, mount = self._builder
        return self._path_of(prefix).rstrip("/") if mount.name == DEFAULT_DIALECT else None

    def _find(self, path: bytes) -> tuple[Mount, bytes]:
        """The mount that a path belongs to, and the path without its prefix."""
        path = self._strip_path_prefix(path)
        segment = path[1:].partition(b"?")[0].partition(b"/")[0]
        if mount := self._by_segment.get(segment):
            return mount, path[1 + len(segment) :]
        if self._root is not None:
            return self._root, path
        starts = ", ".join(self._path_of(prefix) for prefix in sorted(self.prefixes))
        message = f"no dialect is mounted here; links begin with {starts}"
        hint = self._hint("", path)
        raise InvalidLink(f"{message}; {hint}" if hint else message)

    def _choose_builder(self) -> tuple[str, Mount]:
        native = [prefix for prefix in self._mounts if self._mounts[prefix].name == DEFAULT_DIALECT]
        for prefix in sorted(native) or ("", *self._mounts):
            if prefix in self._mounts:
                return prefix, self._mounts[prefix]
        raise ConfigError("FRAMEKEEP_LINKS_MOUNTS: no dialect is mounted")

    def _hint(self, name: str, path: bytes) -> str:
        """Say where a path belongs that looks like another dialect; empty if it does not."""
        dialect = recognize(path)
        if not dialect or has_grammar(name, dialect):
            return ""
        if paths := sorted(self._paths_of(dialect)):
            return f"it looks like the dialect {dialect}, whose links begin with {paths[0]} here"
        prefix = find_usual_prefix(dialect, path)
        return (
            f"it looks like the dialect {dialect}, which is not mounted "
            f'(FRAMEKEEP_LINKS_MOUNTS={{"{prefix}": "{dialect}"}} serves it at '
            f"{f'/{prefix}/' if prefix else 'the root'})"
        )

    def _paths_of(self, name: str) -> Iterator[str]:
        return (
            self._path_of(prefix)
            for prefix, mount in self._mounts.items()
            if has_grammar(mount.name, name)
        )

    def _path_of(self, prefix: str) -> str:
        root = self._path_prefix.decode()
        return f"{root}/{prefix}/" if prefix else f"{root}/"

    def _strip_path_prefix(self, path: bytes) -> bytes:
        prefix = self._path_prefix
        if not prefix:
            return path
        if not (path + b"/").startswith(prefix + b"/"):
            raise InvalidLink(
                f"path prefix missing: links begin with {prefix.decode()}/ "
                "(FRAMEKEEP_SERVER_PATH_PREFIX)"
            )
        return path[len(prefix) :]


def _with_dialect(request: ImageRequest, name: str) -> ImageRequest:
    options = request.response_options
    tags = tuple(dict.fromkeys((*options.tags, f"dialect:{name}")))
    return replace(request, response_options=replace(options, dialect=name, tags=tags))
