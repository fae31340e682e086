"""Fallback images: what an image request is answered with where its original cannot be used."""

from collections.abc import Mapping

from proxy.errors import ConfigError, InvalidSource
from proxy.image_request import ImageRequest
from proxy.links.config import LinksConfig
from proxy.links.source_encoding import SourceEncoder
from proxy.originals import SourceRef


class Fallbacks:
    """The fallback images that the operator set up, by name.

    ``status`` is the status of such a response, 0 for that of the error; ``ttl`` is in seconds.
    """

    def __init__(self, config: LinksConfig, encoder: SourceEncoder) -> None:
        """Raise ConfigError for a source that no link could have."""
        self._sources: Mapping[str, SourceRef] = {
            name: SourceRef(_normalize(encoder, name, text))
            for name, text in config.fallbacks.items()
        }
        self._default = config.fallback
        self.status = config.fallback_status
        self.ttl = config.fallback_ttl

    def request_for(self, request: ImageRequest) -> ImageRequest | None:
        """Return the request with its fallback for the original, or None where it has none.

        The operations stay, so the fallback has the size and format of the image. Its cache key is
        that of a link to the fallback.
        """
        name = request.response_options.fallback or self._default
        source = self._sources.get(name)
        if source is None or source == request.source:
            return None
        return ImageRequest(source, request.plan, request.response_options)


def _normalize(encoder: SourceEncoder, name: str, text: str) -> str:
    try:
        return encoder.normalize(text)
    except InvalidSource as error:
        raise ConfigError(f"FRAMEKEEP_LINKS_FALLBACKS: {name!r}: {error}") from error
