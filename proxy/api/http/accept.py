"""What an asker takes, folded into four buckets so that one wish has at most four answers."""

import re
from collections.abc import Sequence
from functools import lru_cache

from proxy.formats import Name

Offer = tuple[Name, ...]

_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_LONGEST = 1024


def offer(accept: bytes) -> Offer:
    """The formats beyond jpeg, png and gif that an ``Accept`` header asks for, best first.

    AVIF and WebP count only where they are named: ``*/*`` is also what says a client that shows
    neither. One of lower quality than what it would replace is not offered.
    """
    # What is longer is no browser's, and would only fill the memory of what was read before.
    return _offer(accept) if len(accept) <= _LONGEST else ()


def preferred(accept: str, kinds: Sequence[str]) -> str:
    """The media type of these that the header names with the highest quality, or an empty text."""
    qualities = _qualities(accept[:_LONGEST])
    named = [kind for kind in kinds if qualities.get(kind, 0.0) > 0]
    return max(named, key=lambda kind: qualities[kind], default="")


@lru_cache(maxsize=512)
def _offer(accept: bytes) -> Offer:
    qualities = _qualities(accept.decode("latin-1"))
    avif, webp = qualities.get("image/avif", 0.0), qualities.get("image/webp", 0.0)
    plain = max(_matched(qualities, "image/jpeg"), _matched(qualities, "image/png"))
    take_avif = avif > 0 and avif >= max(webp, plain)
    take_webp = webp > 0 and webp >= plain
    return (*(("avif",) if take_avif else ()), *(("webp",) if take_webp else ()))


def _qualities(accept: str) -> dict[str, float]:
    """The quality of each media type and wildcard that the header names."""
    qualities: dict[str, float] = {}
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        qualities[kind] = max(_quality(parameters), qualities.get(kind, 0.0))
    return qualities


def _matched(qualities: dict[str, float], kind: str) -> float:
    """The quality of a media type by its most specific mention."""
    for name in (kind, "image/*", "*/*"):
        if name in qualities:
            return qualities[name]
    return 0.0


def _quality(parameters: list[str]) -> float:
    """The weight, 0 to 1; a malformed one counts as 0."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0
