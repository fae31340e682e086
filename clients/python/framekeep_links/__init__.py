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

from framekeep_links.encoding import encode_source, step, step_name
from framekeep_links.rules import choose, rule_path
from framekeep_links.srcset import (
    DEFAULT_WIDTHS,
    MAX_SIDE,
    SAME_SIZE_STEPS,
    Art,
    Box,
    Candidate,
    Crop,
    Picture,
    Ratio,
    Source,
    check_picture,
    join,
    sized_steps,
    true_widths,
)

__all__ = [
    "DEFAULT_WIDTHS",
    "SAME_SIZE_STEPS",
    "Art",
    "Candidate",
    "Picture",
    "Signer",
    "Source",
    "choose",
    "step",
    "width_grid",
]

_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,128}")


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
            step_name(one)
        return self._sign("/" + "/".join((*steps, encode_source(source))))

    def rule(self, source: str, *steps: str) -> str:
        """Build a rule link: some values are left open, and `choose` fills them in, without a key.

            links.rule("media:users/42.jpg", "resize:{320,640,1280}", "convert:{avif,webp,jpeg}")

        Raises ValueError where no value is left open, and as `url` does.
        """
        return self._sign(rule_path(source, steps))

    def candidates(
        self,
        source: str,
        *steps: str,
        original: tuple[int, int],
        widths: Iterable[int] | None = None,
        ratio: Ratio | None = None,
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
            widths: in pixels; `DEFAULT_WIDTHS` if there are none.
            ratio: aspect ratio to crop to, such as ``(16, 9)``; without one nothing is cropped.
            crop: what to keep with a ``ratio``: the subject (``smart``) or the ``center``.
            max_width: the box' width in pixels.
            max_height: the box' height in pixels.
        """
        box = Box(original, widths, ratio, crop, max_width, max_height)
        return tuple(
            Candidate(self.url(source, *sized), width, height)
            for sized, width, height in sized_steps(steps, box)
        )

    def srcset(
        self,
        source: str,
        *steps: str,
        original: tuple[int, int],
        widths: Iterable[int] | None = None,
        ratio: Ratio | None = None,
        crop: Crop = "smart",
        max_width: int = MAX_SIDE,
        max_height: int = MAX_SIDE,
    ) -> str:
        """Build a srcset attribute of `candidates`. Escape it for HTML, as your templates do."""
        return join(
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
        widths: Iterable[int] | None = None,
        ratio: Ratio | None = None,
        crop: Crop = "smart",
        max_width: int = MAX_SIDE,
        max_height: int = MAX_SIDE,
        formats: Sequence[str] = ("avif", "webp", "jpeg"),
        sizes: str = "100vw",
        art: Sequence[Art | tuple[str, Ratio]] = (),
    ) -> Picture:
        """Build the attributes of a ``<picture>``: the last format is that of its ``<img>``.

        With ``art``, the picture has another aspect ratio where a media condition holds; the first
        condition that holds counts.
        """
        directions = tuple(Art(*one) for one in art)
        check_picture(steps, formats, directions)
        widths = None if widths is None else tuple(widths)
        sources = []
        for media, shape, own_sizes in (*directions, Art("", ratio or original)):
            for format in formats:
                candidates = self.candidates(
                    source, *steps, f"convert:{format}", original=original, widths=widths,
                    ratio=shape if media else ratio, crop=crop, max_width=max_width,
                    max_height=max_height,
                )  # fmt: skip
                largest = candidates[-1]
                sources.append(
                    Source(
                        media or None, f"image/{format}", join(candidates), own_sizes or sizes,
                        largest.width, largest.height,
                    )
                )  # fmt: skip
        fallback = sources.pop()
        return Picture(tuple(sources), largest.url, *fallback[2:])

    def _sign(self, path: str) -> str:
        if self._key is None:
            return f"{self._base}/_{path}"
        mac = hmac.digest(self._key, path.encode(), "sha256")
        return f"{self._base}/{urlsafe_b64encode(mac[:16]).rstrip(b'=').decode()}{path}"


def width_grid(
    *,
    original: tuple[int, int],
    widths: Iterable[int] | None = None,
    ratio: Ratio | None = None,
    max_width: int = MAX_SIDE,
    max_height: int = MAX_SIDE,
) -> str:
    """The widths of a srcset as the open field of a rule: ``{320,640,1000}``."""
    box = Box(original, widths, ratio, "smart", max_width, max_height)
    return "{" + ",".join(map(str, true_widths(box))) + "}"
