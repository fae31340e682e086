"""What a URL dialect is, and what it is made from. `DIALECTS` in `proxy.links` lists them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from proxy.image_request import ImageRequest
from proxy.limits import Limits
from proxy.links.config import LinksConfig
from proxy.links.fallback import Fallbacks
from proxy.links.parser import StepParser
from proxy.links.signing import Keyring
from proxy.links.source_encoding import SourceEncoder
from proxy.operations.registry import OperationRegistry

C = TypeVar("C", bound=Struct)


class Dialect(Protocol):
    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path with its query string; the signature is verified before anything else.

        Raises a RequestError or LinkError that names what is wrong.
        """
        ...

    def build(self, request: ImageRequest) -> str:
        """Build the path of a request. Raises InvalidLink for a request that has no link."""
        ...


@runtime_checkable
class HintedDialect(Protocol):
    """A dialect with links from whose lists client hints choose."""

    def parse_with_headers(self, path: bytes, headers: Mapping[bytes, bytes]) -> ImageRequest:
        """Parse as `Dialect.parse` does; ``headers`` of the request by names in lower case."""
        ...


def parse_link(dialect: Dialect, path: bytes, headers: Mapping[bytes, bytes]) -> ImageRequest:
    """Parse a link for a request with these headers. Raises as `Dialect.parse` does."""
    if isinstance(dialect, HintedDialect):
        return dialect.parse_with_headers(path, headers)
    return dialect.parse(path)


@runtime_checkable
class BoundedDialect(Protocol):
    """A dialect whose links are not signed, so that lists in the settings bound them."""

    def describe_bounds(self) -> Iterator[str]:
        """Lines for an operator, such as ``widths: 320, 640``."""
        ...


class DialectContext:
    """What every dialect shares: operations, presets, signing keys, source aliases, limits."""

    def __init__(
        self,
        operations: OperationRegistry,
        config: LinksConfig | None = None,
        *,
        aliases: Collection[str] = (),
        limits: Limits | None = None,
        sections: Collection[object] = (),
    ) -> None:
        """``sections`` are those of the settings; a dialect finds its own with `section`.

        Raises ValueError for a preset or a signing key that is invalid.

        Raises ConfigError for the source of a fallback image that is.
        """
        self.config = config or LinksConfig()
        self.limits = limits or Limits()
        self.operations = operations
        self.aliases = frozenset(aliases)
        self._sections = tuple(sections)
        self.keyring = Keyring.from_hex(self.config.keys)
        self.steps = StepParser(
            operations,
            self.config.presets,
            self.config.fallbacks,
            max_renditions=self.config.max_renditions,
            accept_groups=self.config.accept_groups,
        )
        self.sources = SourceEncoder(self.aliases)
        self.fallbacks = Fallbacks(self.config, self.sources)

    def section(self, kind: type[C]) -> C:
        """Return the section of the settings that has this type, or its defaults."""
        return next((found for found in self._sections if isinstance(found, kind)), kind())

    def without_keys(self) -> "DialectContext":
        """Return the same without signing keys."""
        return DialectContext(
            self.operations,
            replace(self.config, keys=()),
            aliases=self.aliases,
            limits=self.limits,
            sections=self._sections,
        )

    def make_request(self, source: str, steps: Sequence[str]) -> ImageRequest:
        """Make a request from a source and from steps as in a native link; any dialect builds it.

        Raises InvalidLink, InvalidOperation or InvalidSource, naming the step.
        """
        return self.steps.parse(steps).to_request(self.sources.normalize(source))


DialectFactory = Callable[[DialectContext], Dialect]
"""Makes a dialect. Raises ValueError where the settings contradict its grammar, ConfigError where
they would leave it open."""
