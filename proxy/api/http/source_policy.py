"""Which sources the callers of the APIs may name, wherever in a request they name them.

An API key opens the APIs, not the operator's own sources. Links are another matter: the operator
signs them, so they may use every source alias.
"""

from collections.abc import Collection, Iterable

from proxy.errors import SourceForbidden
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import Detection, ImageInfo
from proxy.originals import OriginalRef, Upload
from proxy.render.inspector import ProbeResult
from proxy.service import ImageResult, ImageService
from proxy.sources.net.url import parse_url

_WEB = ("http", "https")


class ApiSourcePolicy:
    def __init__(self, allow_aliases: Collection[str] = (), *, allow_http: bool = True) -> None:
        self._allow_aliases = frozenset(allow_aliases)
        self._allow_http = allow_http

    def check(self, source: OriginalRef) -> None:
        """Raise SourceForbidden for a source that is not allowed, InvalidSource for a bad URL.

        The SSRF policy is applied later, when the source is requested.
        """
        if isinstance(source, Upload):
            return
        scheme = source.scheme.lower()
        if scheme not in _WEB:
            # The same sentence whether or not there is such an alias.
            if source.scheme not in self._allow_aliases:
                raise SourceForbidden(
                    f"source alias not allowed in APIs: {source.scheme[:32]!r} "
                    "(FRAMEKEEP_API_ALLOW_ALIASES)"
                )
            return
        if parse_url(source.text).scheme == "http" and not self._allow_http:
            raise SourceForbidden(
                "URL must be https://, not http:// (FRAMEKEEP_TRANSFORM_ALLOW_HTTP)"
            )


class ApiImageService:
    """The image service as APIs have it: each source of a request is checked before any work."""

    def __init__(self, service: ImageService, policy: ApiSourcePolicy) -> None:
        self._service = service
        self._policy = policy

    async def get_or_render(self, request: ImageRequest) -> ImageResult:
        self._check(request.sources)
        return await self._service.get_or_render(request)

    async def info(self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()) -> ImageInfo:
        self._check((source,))
        return (await self._service.info(source, aspect_ratios))[0]

    async def probe(self, source: OriginalRef) -> ProbeResult:
        self._check((source,))
        return await self._service.probe(source)

    async def detect(self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()) -> Detection:
        self._check((source,))
        return await self._service.detect(source, aspect_ratios)

    def _check(self, sources: Iterable[OriginalRef]) -> None:
        for source in sources:
            self._policy.check(source)
