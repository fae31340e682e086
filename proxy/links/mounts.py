"""Several dialects on one server, each below a path prefix."""

from collections.abc import Collection, Mapping, Sequence

from proxy.errors import ConfigError, InvalidLink
from proxy.image_request import ImageRequest
from proxy.limits import Limits
from proxy.links import DIALECTS
from proxy.links.config import LinksConfig
from proxy.links.dialect import Dialect, DialectContext, DialectFactory
from proxy.links.fallback import Fallbacks
from proxy.operations.registry import OperationRegistry


class MountedDialects:
    """A dialect that hands each path to the one that is mounted at its first segment.

    The prefix is cut off the raw path, so a dialect sees the same bytes wherever it is mounted. A
    path without a known prefix belongs to the dialect at the root.
    """

    def __init__(
        self, dialects: Mapping[str, Dialect], context: DialectContext, path_prefix: str = ""
    ) -> None:
        """``dialects`` by prefix, without slashes; the empty prefix is the root.

        ``path_prefix``, such as ``/img``, comes before all of them: it is that of the server.
        """
        self._path_prefix = path_prefix.encode()
        self._by_segment = {prefix.encode(): dialect for prefix, dialect in dialects.items()}
        self._root = self._by_segment.pop(b"", None)
        segment = "" if "" in dialects else next(iter(dialects))
        self._build_prefix = f"{path_prefix}/{segment}" if segment else path_prefix
        self._builder = dialects[segment]
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
    ) -> "MountedDialects":
        """Mount the dialects of the settings. Raises ConfigError, naming the setting."""
        try:
            context = DialectContext(operations, config, aliases=aliases, limits=limits)
        except ValueError as error:
            raise ConfigError(f"FRAMEKEEP_LINKS_PRESETS: {error}") from error
        mounts: dict[str, Dialect] = {}
        for prefix, name in config.mounts.items():
            if name not in dialects:
                raise ConfigError(
                    f"FRAMEKEEP_LINKS_MOUNTS: unknown dialect {name!r}; the dialects are: "
                    f"{', '.join(sorted(dialects))}"
                )
            try:
                mounts[prefix] = dialects[name](context)
            except ValueError as error:
                raise ConfigError(f"FRAMEKEEP_LINKS_MOUNTS: dialect {name!r}: {error}") from error
        return cls(mounts, context, path_prefix)

    @property
    def fallbacks(self) -> Fallbacks:
        return self._context.fallbacks

    @property
    def prefixes(self) -> frozenset[str]:
        """The first segments that belong to a dialect; the root has none."""
        return frozenset(segment.decode() for segment in self._by_segment)

    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path with its query string; the mounted dialect verifies its signature.

        Raises a RequestError or LinkError that names what is wrong.
        """
        path = self._strip_path_prefix(path)
        segment = path[1:].partition(b"?")[0].partition(b"/")[0]
        mounted = self._by_segment.get(segment)
        if mounted is not None:
            return mounted.parse(path[1 + len(segment) :])
        if self._root is not None:
            return self._root.parse(path)
        root = self._path_prefix.decode()
        starts = ", ".join(f"{root}/{prefix}/" for prefix in sorted(self.prefixes))
        raise InvalidLink(f"no dialect is mounted here; links begin with {starts}")

    def build(self, request: ImageRequest) -> str:
        """Build the path of a request in the dialect of the root, or else of the first prefix."""
        return self._build_prefix + self._builder.build(request)

    def make_request(self, source: str, steps: Sequence[str]) -> ImageRequest:
        """Make a request from a source and steps, as `DialectContext.make_request` does."""
        return self._context.make_request(source, steps)

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
