"""IPX links: split, parse, check what they may have, and make an image request."""

from collections.abc import Iterator

from proxy.errors import InvalidLink, InvalidOperation
from proxy.image_request import ImageRequest
from proxy.links.dialect import DialectContext
from proxy.links.ipx.bounds import LinkBounds
from proxy.links.ipx.config import IpxConfig
from proxy.links.ipx.modifiers import split_modifiers
from proxy.links.ipx.plan import plan_steps
from proxy.links.ipx.sources import SourceResolver
from proxy.links.ipx.state import LinkModifiers
from proxy.operations.plan import Plan
from proxy.originals import SourceRef


class IpxDialect:
    def __init__(self, context: DialectContext) -> None:
        """Raise ConfigError where the settings leave the dialect open or contradict each other."""
        config = context.section(IpxConfig)
        self._operations = context.operations
        self._max_bytes = context.limits.max_url_bytes
        self._sources = SourceResolver(config, context.sources, context.aliases)
        self._bounds = LinkBounds(config, context.config.accept_groups)

    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path; its query string belongs to the source.

        Raises InvalidLink or InvalidSource, naming the modifier and the reason.
        """
        if len(path) > self._max_bytes:
            raise InvalidLink(
                f"link too long: {len(path)} bytes, at most {self._max_bytes} bytes are allowed "
                "(FRAMEKEEP_LIMITS_MAX_URL_BYTES)"
            )
        try:
            segment, _, source = path.decode().removeprefix("/").partition("/")
        except UnicodeDecodeError:
            raise InvalidLink("link is not UTF-8: percent-encode non-ASCII characters") from None
        if not segment or not source:
            raise InvalidLink("invalid link: it is /{modifiers}/{source}; _ is no modifiers")
        plan = self._plan(segment)
        return ImageRequest(SourceRef(self._sources.resolve(source)), plan)

    def build(self, request: ImageRequest) -> str:
        """Raise InvalidLink: Nuxt Image and unpic build its links."""
        raise InvalidLink(
            "IPX links are built by Nuxt Image, unpic and the like; mount the native dialect to "
            "sign links"
        )

    def describe_bounds(self) -> Iterator[str]:
        """Lines that say what the settings allow its links, for an operator."""
        return self._bounds.describe()

    def _plan(self, segment: str) -> Plan:
        modifiers = LinkModifiers()
        written = [each for each in split_modifiers(segment) if not each.is_omitted]
        for modifier in written:
            modifier.apply(modifiers)
        self._bounds.check(modifiers, written)
        try:
            return self._operations.plan(plan_steps(modifiers))
        except InvalidOperation as error:
            raise InvalidLink(f"modifiers: {error}") from error
