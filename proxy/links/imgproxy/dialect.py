"""imgproxy links: verify, split, parse, and make an image request."""

import hashlib
import time
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from msgspec import Struct

from proxy.errors import ConfigError, InvalidLink, InvalidOperation, InvalidSource, LinkExpired
from proxy.image_request import ImageRequest, InfoRequest, ResponseOptions
from proxy.links.dialect import DialectContext
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.imgproxy.output_options import parse_format
from proxy.links.imgproxy.parser import OptionParser
from proxy.links.imgproxy.plan import PlanTranslator
from proxy.links.imgproxy.signature import ImgproxyVerifier
from proxy.links.imgproxy.sources import SourceDecoder
from proxy.links.imgproxy.state import ImgproxyState
from proxy.links.option_values import MAX_VALUE_LENGTH
from proxy.links.source_rules import SourceRules
from proxy.operations.plan import Plan
from proxy.originals import SourceRef

_BASIC_FORM = frozenset(("fit", "fill", "fill-down", "force", "auto"))


class _LinkParts(Struct, frozen=True):
    state: ImgproxyState
    source: str
    is_info: bool


class ImgproxyDialect:
    def __init__(self, context: DialectContext, *, now: Callable[[], float] = time.time) -> None:
        """``now`` is in Unix seconds.

        Raises ConfigError where the settings leave the dialect open or contradict each other, and
        ValueError for a preset that is invalid.
        """
        config = context.section(ImgproxyConfig)
        self._config = config
        self._operations = context.operations
        self._max_bytes = context.limits.max_url_bytes
        self._signatures = ImgproxyVerifier(config)
        self._options = OptionParser(config)
        self._decoder = SourceDecoder(config)
        self._sources = SourceRules(config, "imgproxy", context.sources, context.aliases)
        self._plans = PlanTranslator(config, self._sources)
        self._now = now
        if config.watermark:
            try:
                context.sources.normalize(config.watermark)
            except InvalidSource as error:
                raise ConfigError(f"FRAMEKEEP_IMGPROXY_WATERMARK: {error}") from error

    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path; its query string does not count.

        Raises:
            InvalidLink, InvalidOperation, InvalidSource: naming the segment and the reason.
            InvalidSignature: before anything but the length is looked at.
            LinkExpired: the time of ``expires`` has passed.
        """
        if len(path) > self._max_bytes:
            raise InvalidLink(
                f"link too long: {len(path)} bytes, at most {self._max_bytes} bytes are allowed "
                "(FRAMEKEEP_LIMITS_MAX_URL_BYTES)"
            )
        parts = self._split(path.partition(b"?")[0])
        state = parts.state
        if state.expires and self._now() >= state.expires:
            raise LinkExpired(
                time.strftime("link expired at %Y-%m-%d %H:%M:%S UTC", time.gmtime(state.expires))
            )
        source = SourceRef(self._resolve(parts.source), _version(state.cachebuster))
        if parts.is_info:
            options = ResponseOptions(state.expires or None, tags=tuple(state.tags))
            return ImageRequest(source, response_options=options, info=InfoRequest())
        return ImageRequest(source, self._plan(state), self._response_options(state, source))

    def build(self, request: ImageRequest) -> str:
        """Raise InvalidLink: the clients of imgproxy build its links."""
        raise InvalidLink(
            "imgproxy links are built by imgproxy's clients; mount the native dialect to sign links"
        )

    def _split(self, path: bytes) -> _LinkParts:
        signature, rest = _split_signature(path)
        is_info = signature == b"info"
        if is_info:
            signature, rest = _split_signature(rest)
        try:
            segments = self._signatures.verify(signature, rest)[1:].decode().split("/")
        except UnicodeDecodeError:
            raise InvalidLink("link is not UTF-8: percent-encode non-ASCII characters") from None
        if segments[0] in _BASIC_FORM:
            raise InvalidLink(
                f"segment 2 ('{segments[0]}'): the basic form of imgproxy 2 is not possible; "
                f"write rs:{segments[0]}:WIDTH:HEIGHT"
            )
        if self._config.only_presets and not is_info:
            if len(segments) < 2:
                raise InvalidLink("segment 3: source missing: a link ends with its source")
            state = self._options.parse_presets(segments[0])
            source: Sequence[str] = segments[1:]
        elif is_info:
            state, source = self._options.parse_info(segments)
        else:
            state, source = self._options.parse(segments)
        decoded = self._decoder.decode(source)
        if decoded.format and not state.raw:
            state.format = parse_format("format", decoded.format)
        return _LinkParts(state, decoded.text, is_info)

    def _resolve(self, text: str) -> str:
        source = self._sources.resolve(text)
        if "?" in source and not source.startswith(("http://", "https://")):
            raise InvalidSource("source: versions of objects (?…) cannot be chosen")
        return source

    def _plan(self, state: ImgproxyState) -> Plan:
        if self._config.keep_copyright:
            state.keep_copyright = True
        steps = self._plans.steps(state)
        try:
            return self._operations.plan(steps)
        except InvalidOperation as error:
            raise InvalidLink(f"options: {error}") from error

    def _response_options(self, state: ImgproxyState, source: SourceRef) -> ResponseOptions:
        is_attachment = state.attachment or self._config.return_attachment
        filename = state.filename
        if is_attachment and not filename:
            filename = _filename_of(source)
        return ResponseOptions(
            state.expires or None, filename, tuple(state.tags), is_attachment=is_attachment
        )


def _split_signature(path: bytes) -> tuple[bytes, bytes]:
    """The segment in front, and the rest with its slash."""
    signature, slash, rest = path.removeprefix(b"/").partition(b"/")
    if not signature or not rest:
        raise InvalidLink("invalid link: it is /{signature}/{option}/…/{source}")
    return signature, slash + rest


def _version(cachebuster: str) -> str:
    """Another cachebuster is another version of the original, which is fetched anew."""
    if len(cachebuster) <= MAX_VALUE_LENGTH:
        return cachebuster
    return hashlib.sha256(cachebuster.encode()).hexdigest()


def _filename_of(source: SourceRef) -> str:
    """The last part of a source's path without its suffix, where it can be a file name."""
    name = unquote(source.path.partition("?")[0].rpartition("/")[2]).rpartition(".")[0]
    is_safe = name.isprintable() and not set(name) & set('/\\":')
    return name[:100] if name and is_safe else "image"
