"""thumbor and imagor links: verify, split, apply the filters, and make an image request."""

import logging
import re
import time
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from proxy.errors import InvalidLink, InvalidOperation, InvalidSource, LinkExpired
from proxy.image_request import ImageRequest, InfoRequest, ResponseOptions
from proxy.links.dialect import DialectContext
from proxy.links.percent_encoding import percent_decode, safe_excerpt
from proxy.links.source_rules import SourceRules
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig
from proxy.links.thumbor.filters import THUMBOR_FILTERS, Filter
from proxy.links.thumbor.grammar import FilterCall, LinkParts, split_link
from proxy.links.thumbor.imagor_filters import IMAGOR_FILTERS
from proxy.links.thumbor.plan import steps
from proxy.links.thumbor.signature import ThumborVerifier
from proxy.links.thumbor.state import SIZE_FLAGS, ThumborState, open_state
from proxy.operations.plan import Plan
from proxy.originals import SourceRef

logger = logging.getLogger("framekeep.links.thumbor")

_HTTP_URL = re.compile(r"https?://", re.IGNORECASE)
_MAX_SIDE = 16_384


class _LinkDialect:
    """What both dialects share."""

    def __init__(
        self,
        context: DialectContext,
        config: ThumborConfig | ImagorConfig,
        filters: Mapping[str, Filter],
        now: Callable[[], float],
    ) -> None:
        self._is_imagor = isinstance(config, ImagorConfig)
        self._name = "imagor" if self._is_imagor else "thumbor"
        self._config = config
        self._filters = filters
        self._operations = context.operations
        self._max_bytes = context.limits.max_url_bytes
        self._signatures = ThumborVerifier(config, self._name)
        self._sources = SourceRules(config, self._name, context.sources, context.aliases)
        self._aliases = context.aliases
        self._now = now

    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path; its query string does not count.

        Raises:
            InvalidLink, InvalidOperation, InvalidSource: naming the part and the reason.
            InvalidSignature: before anything but the length is looked at.
            LinkExpired: the time of ``expire`` has passed.
        """
        if len(path) > self._max_bytes:
            raise InvalidLink(
                f"link too long: {len(path)} bytes, at most {self._max_bytes} bytes are allowed "
                "(FRAMEKEEP_LIMITS_MAX_URL_BYTES)"
            )
        signature, slash, rest = path.partition(b"?")[0].removeprefix(b"/").partition(b"/")
        if not slash or not rest:
            raise InvalidLink(
                "invalid link: it is /SIGNATURE/{parts}/{source}, or /unsafe/{parts}/{source}; "
                "uploads are sent to the source, and removed by a purge"
            )
        verified = self._signatures.verify(signature, rest)
        try:
            text = verified.decode()
        except UnicodeDecodeError:
            raise InvalidLink("link is not UTF-8: percent-encode non-ASCII characters") from None
        parts = split_link(text, is_imagor=self._is_imagor)
        state = self._apply_filters(parts)
        if state.expires and self._now() >= state.expires:
            raise LinkExpired(
                time.strftime("link expired at %Y-%m-%d %H:%M:%S UTC", time.gmtime(state.expires))
            )
        source = SourceRef(self._resolve(self._decode_image(parts.image)))
        if parts.is_meta:
            options = ResponseOptions(state.expires or None)
            plan = None if self._is_imagor else self._plan(parts, state)
            return ImageRequest(source, response_options=options, info=InfoRequest(plan=plan))
        options = ResponseOptions(
            state.expires or None,
            state.filename or ("image" if state.attachment else ""),
            is_attachment=state.attachment,
            max_age=state.max_age,
        )
        return ImageRequest(source, self._plan(parts, state), options)

    def build(self, request: ImageRequest) -> str:
        """Raise InvalidLink: the clients of thumbor and imagor build their links."""
        raise InvalidLink(
            f"{self._name} links are built by its clients; mount the native dialect to sign links"
        )

    def _apply_filters(self, parts: LinkParts) -> ThumborState:
        state = open_state(parts)
        # Where flags are written does not matter to what other filters make of the size.
        for call in sorted(parts.filters, key=lambda call: call.name not in SIZE_FLAGS):
            try:
                self._apply_filter(state, call)
            except InvalidLink as error:
                if not self._config.skip_unknown_filters:
                    raise
                logger.warning("filter skipped: %s", error)
        return state

    def _apply_filter(self, state: ThumborState, call: FilterCall) -> None:
        apply = self._filters.get(call.name)
        if apply is None:
            close = get_close_matches(call.name, self._filters, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InvalidLink(
                f"filters: {safe_excerpt(call.name)} is unknown{hint} "
                f"(FRAMEKEEP_{self._name.upper()}_SKIP_UNKNOWN_FILTERS leaves such filters out)"
            )
        try:
            apply(state, call.name, call.args)
        except InvalidLink as error:
            raise InvalidLink(f"filters: {error}", detail=error.detail) from error

    def _decode_image(self, image: str) -> str:
        if self._is_imagor and image.startswith("b64:"):
            return _decode_base64(image.removeprefix("b64:"))
        if self._is_imagor and image.startswith("color:"):
            raise InvalidSource("source: color: canvases are not generated; name an image")
        return percent_decode(image)

    def _resolve(self, text: str) -> str:
        """The source of ours that a text names; without a scheme it gets one."""
        if not self._config.base_url and not self._has_scheme(text):
            text = f"{self._config.default_scheme}://{text.lstrip('/')}"
        source = self._sources.resolve(text)
        if "?" in source and not _HTTP_URL.match(source):
            raise InvalidSource("source: versions of objects (?…) cannot be chosen")
        return source

    def _resolve_overlay(self, text: str) -> str:
        """The source of a watermark, which is decoded with its filter."""
        if self._is_imagor and text.startswith("b64:"):
            text = _decode_base64(text.removeprefix("b64:"))
        return self._resolve(text)

    def _has_scheme(self, text: str) -> bool:
        return (
            _HTTP_URL.match(text) is not None
            or "://" in text
            or text.partition(":")[0] in self._aliases
            or text.startswith(tuple(self._config.source_prefixes))
        )

    def _plan(self, parts: LinkParts, state: ThumborState) -> Plan:
        for name, side in (("width", parts.width), ("height", parts.height)):
            if isinstance(side, int) and side > _MAX_SIDE:
                raise InvalidLink(f"size: {name} must be at most {_MAX_SIDE}, not {side}")
        listed = steps(parts, state, self._config, self._resolve_overlay)
        try:
            return self._operations.plan(listed)
        except InvalidOperation as error:
            raise InvalidLink(f"filters: {error}") from error


class ThumborDialect(_LinkDialect):
    def __init__(self, context: DialectContext, *, now: Callable[[], float] = time.time) -> None:
        """``now`` is in Unix seconds. Raises ConfigError where the dialect would be open."""
        super().__init__(context, context.section(ThumborConfig), THUMBOR_FILTERS, now)


class ImagorDialect(_LinkDialect):
    def __init__(self, context: DialectContext, *, now: Callable[[], float] = time.time) -> None:
        """``now`` is in Unix seconds. Raises ConfigError where the dialect would be open."""
        super().__init__(context, context.section(ImagorConfig), IMAGOR_FILTERS, now)


def _decode_base64(encoded: str) -> str:
    digits = encoded.rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", digits):
        raise InvalidSource("source: b64: must be base64url")
    try:
        return urlsafe_b64decode(digits + "=" * (-len(digits) % 4)).decode()
    except (Base64Error, UnicodeDecodeError):
        raise InvalidSource("source: b64: does not decode to UTF-8 text") from None
