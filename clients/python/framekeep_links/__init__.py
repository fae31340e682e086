"""Signed links for a Framekeep server, without the server: no dependency, a fast import.

    links = Signer("https://img.example.com", key)
    links.url("https://cdn.example.com/u/42.jpg", "resize:800:600", "convert:auto")

Steps are as in a link; `step` writes one and encodes its values. Only their form is checked here:
the server checks operations, fields and bounds.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import quote

__all__ = ["Candidate", "Picture", "Signer", "Source", "step"]

Value: TypeAlias = str | int | float | bool | Sequence[str | int | float] | None
Crop: TypeAlias = Literal["smart", "center"]

DEFAULT_WIDTHS = (320, 640, 960, 1280, 1920, 2560, 3840)
FORMATS = ("avif", "gif", "heif", "jpeg", "jxl", "png", "webp")
MAX_SIDE = 16_384
"""The longest side that the server's operations take, in pixels."""

SAME_SIZE_STEPS = frozenset(
    (
        "attachment", "auto_contrast", "blur", "blur_detections", "contrast", "convert", "debug",
        "denoise", "expires", "fallback", "filename", "flip", "flop", "gamma", "gradient",
        "grayscale", "invert_colors", "keep", "modulate", "opacity", "pixelate", "quality",
        "remove_background", "remove_transparency", "sharpen", "shift_colors", "strip", "tag",
        "text", "threshold", "tint", "v", "watermark",
    )
)  # fmt: skip
"""The steps after which a picture has the size that it had before."""

_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,128}")
_STEP = re.compile(r"([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%[0-9A-Fa-f]{2})*)?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HTTP_URL = re.compile(r"(https?)://([^/?]+)(.*)", re.IGNORECASE | re.DOTALL)
_ALIAS = re.compile(r"([a-z][a-z0-9_-]{0,31}):(.+)", re.DOTALL)
_RESERVED = frozenset(("b64", "data", "http", "https", "upload"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSAFE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]")
# What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
_FRAGILE = re.compile(r"//|/(?:\.|%2e){1,2}(?:[/?]|$)|/https?:/|^/|^$|[?,]$", re.IGNORECASE)


class Candidate(NamedTuple):
    """One image of a srcset, with its true size in pixels."""

    url: str
    width: int
    height: int


class Source(NamedTuple):
    """The attributes of one ``<source>`` in a ``<picture>``."""

    type: str
    srcset: str
    sizes: str


class Picture(NamedTuple):
    """The attributes of a ``<picture>``: its sources, and its ``<img>``.

    ``width`` and ``height`` are the size of the largest image.
    """

    sources: tuple[Source, ...]
    src: str
    srcset: str
    sizes: str
    width: int
    height: int


class Signer:
    """Builds links that are signed with a key of the server, 16 to 128 bytes in hexadecimal.

    Without a key the links are unsigned; servers take them only if
    ``FRAMEKEEP_LINKS_ALLOW_UNSIGNED`` is set.
    """

    def __init__(self, base: str, key: str | None) -> None:
        """``base`` is the server's URL, with path prefix and mount point if it has them."""
        if not re.match(r"https?://[^/]", base, re.IGNORECASE):
            raise ValueError("base must be an http:// or https:// URL")
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError("key must be 16 to 128 bytes in hexadecimal")
        self._base = base.rstrip("/")
        self._key = None if key is None else bytes.fromhex(key)

    def url(self, source: str, *steps: str) -> str:
        """Build the link of a source: an http(s) URL, or ``ALIAS:path``.

        Raises ValueError for a source or a step that no server takes.
        """
        for one in steps:
            _step_name(one)
        rest = "/" + "/".join((*steps, _encode_source(source)))
        return f"{self._base}/{self._sign(rest)}{rest}"

    def candidates(
        self,
        source: str,
        *steps: str,
        original: tuple[int, int],
        widths: Iterable[int] = DEFAULT_WIDTHS,
        ratio: tuple[int, int] | None = None,
        crop: Crop = "smart",
        max_width: int = MAX_SIDE,
        max_height: int = MAX_SIDE,
    ) -> tuple[Candidate, ...]:
        """Build one link for each width that the original and the box allow, smallest first.

        The largest is as large as both allow. Each link resizes first; ``steps`` come after that
        and may not change the size.

        Args:
            source: an http(s) URL, or ``ALIAS:path``.
            *steps: as in a link.
            original: width and height of the original as it is shown, as ``info`` links tell.
            widths: in pixels.
            ratio: aspect ratio to crop to, such as ``(16, 9)``; without one nothing is cropped.
            crop: what to keep with a ``ratio``: the subject (``smart``) or the ``center``.
            max_width: the box' width in pixels.
            max_height: the box' height in pixels.
        """
        for one in steps:
            _check_same_size(one)
        if crop not in ("smart", "center"):
            raise ValueError("crop must be smart or center")
        operation = "smart_crop" if crop == "smart" else "resize"
        shape = original if ratio is None else ratio
        candidates = []
        for width in _true_widths(original, widths, shape, max_width, max_height):
            height = max(1, (2 * width * shape[1] + shape[0]) // (2 * shape[0]))
            resize = f"resize:{width}" if ratio is None else f"{operation}:{width}:{height}"
            candidates.append(Candidate(self.url(source, resize, *steps), width, height))
        return tuple(candidates)

    def srcset(
        self,
        source: str,
        *steps: str,
        original: tuple[int, int],
        widths: Iterable[int] = DEFAULT_WIDTHS,
        ratio: tuple[int, int] | None = None,
        crop: Crop = "smart",
        max_width: int = MAX_SIDE,
        max_height: int = MAX_SIDE,
    ) -> str:
        """Build a srcset attribute of `candidates`. Escape it for HTML, as your templates do."""
        return _join(
            self.candidates(
                source, *steps, original=original, widths=widths, ratio=ratio, crop=crop,
                max_width=max_width, max_height=max_height,
            )
        )  # fmt: skip

    def picture(
        self,
        source: str,
        *steps: str,
        original: tuple[int, int],
        widths: Iterable[int] = DEFAULT_WIDTHS,
        ratio: tuple[int, int] | None = None,
        crop: Crop = "smart",
        max_width: int = MAX_SIDE,
        max_height: int = MAX_SIDE,
        formats: Sequence[str] = ("avif", "webp", "jpeg"),
        sizes: str = "100vw",
    ) -> Picture:
        """Build the attributes of a ``<picture>``: the last format is that of its ``<img>``."""
        if any(_step_name(one) == "convert" for one in steps):
            raise ValueError("picture: name the formats in formats, not in a convert step")
        if not formats or not all(format in FORMATS for format in formats):
            raise ValueError(f"picture: formats must be some of {', '.join(FORMATS)}")
        widths = tuple(widths)
        images = [
            self.candidates(
                source, *steps, f"convert:{format}", original=original, widths=widths, ratio=ratio,
                crop=crop, max_width=max_width, max_height=max_height,
            )
            for format in formats
        ]  # fmt: skip
        largest = images[-1][-1]
        sources = tuple(
            Source(f"image/{format}", _join(candidates), sizes)
            for format, candidates in zip(formats[:-1], images[:-1], strict=True)
        )
        srcset = _join(images[-1])
        return Picture(sources, largest.url, srcset, sizes, largest.width, largest.height)

    def _sign(self, rest: str) -> str:
        if self._key is None:
            return "_"
        mac = hmac.digest(self._key, rest.encode(), "sha256")
        return urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()


def step(name: str, *values: Value, **fields: Value) -> str:
    """Write a step, with its values percent-encoded: ``step("text", "50 % off", size=40)``."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"step: {name!r} is not a name of a step")
    named = (f"{field}={_format_value(value)}" for field, value in fields.items())
    return ":".join((name, *map(_format_value, values), *named))


def _format_value(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value, safe="")
        case int():
            return str(value)
        case float():
            text = str(int(value)) if value.is_integer() else repr(value)
            if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
                raise ValueError(f"step: the number {value} cannot be written in a link")
            return text
        case _:
            return ",".join(map(_format_value, value))


def _step_name(text: str) -> str:
    match = _STEP.fullmatch(text)
    if match is None or match[1] in _RESERVED:
        raise ValueError(
            f"step {text[:60]!r} is not written as in a link, such as resize:800:600; use step() "
            "to encode its values"
        )
    return match[1]


def _check_same_size(text: str) -> None:
    name = _step_name(text)
    if name not in SAME_SIZE_STEPS:
        raise ValueError(
            f"srcset: {name} may change the size; use widths, ratio, max_width and max_height "
            "instead"
        )


def _true_widths(
    original: tuple[int, int],
    widths: Iterable[int],
    shape: tuple[int, int],
    max_width: int,
    max_height: int,
) -> list[int]:
    """The widths, and the largest width that original and box allow in that shape."""
    widths = tuple(widths)
    for name, values in (
        ("original", original), ("ratio", shape), ("widths", widths),
        ("max_width", (max_width,)), ("max_height", (max_height,)),
    ):  # fmt: skip
        if not all(type(value) is int and 1 <= value <= 1_000_000 for value in values):
            raise ValueError(f"srcset: {name} must be whole numbers from 1 to 1000000")
    box_width = min(original[0], max_width, MAX_SIDE)
    box_height = min(original[1], max_height, MAX_SIDE)
    largest = min(box_width, box_height * shape[0] // shape[1])
    if not largest:
        raise ValueError("srcset: not one pixel of that shape fits into the original and the box")
    return [*sorted({width for width in widths if width < largest}), largest]


def _join(candidates: Iterable[Candidate]) -> str:
    return ", ".join(f"{candidate.url} {candidate.width}w" for candidate in candidates)


def _encode_source(source: str) -> str:
    if _CONTROL.search(source):
        raise ValueError("source contains a control character")
    if url := _HTTP_URL.fullmatch(source):
        return _encode_url(url[1].lower(), url[2], url[3])
    alias = _ALIAS.fullmatch(source)
    if alias is None or alias[1] in _RESERVED:
        raise ValueError("source must be an http:// or https:// URL, or ALIAS:path")
    if _FRAGILE.search(alias[2]):
        return _base64(source)
    return f"{alias[1]}:{quote(alias[2], safe='/')}"


def _encode_url(scheme: str, host: str, target: str) -> str:
    if "#" in host + target:
        raise ValueError("source has a fragment; remove it, or write # as %23")
    if "\\" in host + target or " " in host or "@" in host:
        raise ValueError("source has a backslash, a user name or a space in its host")
    target = _UNSAFE.sub(lambda found: quote(found[0], safe=""), target)
    text = f"{scheme}://{host}{target}"
    return _base64(text) if _UNSAFE.search(host) or _FRAGILE.search(host + target) else text


def _base64(text: str) -> str:
    return "b64:" + urlsafe_b64encode(text.encode()).decode().rstrip("=")
