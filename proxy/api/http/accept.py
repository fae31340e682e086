"""Content negotiation: read an ``Accept`` header (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial

from proxy.formats import AUTO_FORMATS, FormatName

AcceptedFormats = tuple[FormatName, ...]
Negotiate = Callable[[bytes], AcceptedFormats]
"""Fold an ``Accept`` header into the formats that count, as `accepted_formats` does."""

_QVALUE = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_MAX_BYTES = 1024


def accepted_formats(accept: bytes, offered: AcceptedFormats = AUTO_FORMATS) -> AcceptedFormats:
    """Fold a header into one bucket for each set of the formats that are offered, best first.

    So one link has at most four renditions where two formats are offered.

    Returns the formats beyond JPEG, PNG and GIF that the client accepts, best first. They count
    only where they are named: clients that show none of them also send ``*/*``. A format with a
    lower quality than the formats that it would replace is left out.
    """
    return negotiation(offered)(accept)


@cache
def negotiation(offered: AcceptedFormats) -> Negotiate:
    """Return `accepted_formats` for these formats. It remembers the headers that it has parsed."""
    parse = lru_cache(maxsize=512)(partial(_accepted_formats, offered=offered))

    def negotiate(accept: bytes) -> AcceptedFormats:
        # No browser sends a longer header, and it would only fill the cache.
        return parse(accept) if len(accept) <= _MAX_BYTES else ()

    return negotiate


def preferred_media_type(accept: str, media_types: Sequence[str]) -> str:
    """Return the media type that the header names with the highest quality, or an empty string."""
    qualities = _parse(accept[:_MAX_BYTES])
    named = [media_type for media_type in media_types if qualities.get(media_type, 0.0) > 0]
    return max(named, key=lambda media_type: qualities[media_type], default="")


def _accepted_formats(accept: bytes, offered: AcceptedFormats) -> AcceptedFormats:
    qualities = _parse(accept.decode("latin-1"))
    highest = max(_quality_of(qualities, "image/jpeg"), _quality_of(qualities, "image/png"))
    accepted: AcceptedFormats = ()
    for format in reversed(offered):
        quality = qualities.get(f"image/{format}", 0.0)
        if quality > 0 and quality >= highest:
            accepted = (format, *accepted)
        highest = max(highest, quality)
    return accepted


def _parse(accept: str) -> dict[str, float]:
    """Return the quality, 0 to 1, of each media range in the header."""
    qualities: dict[str, float] = {}
    for entry in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        qualities[media_range] = max(_qvalue(parameters), qualities.get(media_range, 0.0))
    return qualities


def _quality_of(qualities: dict[str, float], media_type: str) -> float:
    """Return the quality of the most specific range that matches an image's media type."""
    for media_range in (media_type, "image/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0


def _qvalue(parameters: list[str]) -> float:
    """Return the weight, 1 where there is none; a malformed one counts as 0."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QVALUE.fullmatch(value) else 0.0
    return 1.0
