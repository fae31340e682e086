"""What must be true of every answer, whatever was asked."""

import re
from typing import Any

import httpx2 as httpx

from proxy.imaging.headers import probe

# What only our insides know: paths, traces, names of libraries, addresses.
_INSIDE = re.compile(
    r"/(home|root|usr|tmp|proc|etc|var|work|opt)/|Traceback|\.py\b|line \d+| at 0x[0-9a-f]+"
    r"|vips|libpng|libjpeg|tiff_|heif_|Pillow|PIL\b|aiohttp|sqlite|msgspec|asyncio",
    re.IGNORECASE,
)


def is_sound(answer: httpx.Response) -> None:
    """A picture that is what it says, or a short word of why there is none."""
    assert answer.headers["x-content-type-options"] == "nosniff", answer.headers
    assert answer.status_code != 500, answer.text
    if answer.status_code < 400:
        is_picture(answer)
    else:
        is_short_word(answer)


def is_picture(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == f"image/{probe(answer.content).format}"
    assert "default-src 'none'" in answer.headers.get(
        "content-security-policy", "default-src 'none'"
    )


def is_short_word(answer: httpx.Response) -> None:
    assert len(answer.content) < 1000, answer.text
    assert answer.headers["content-type"].partition(";")[0] in (
        "application/json",
        "application/problem+json",
    )
    said: dict[str, Any] = answer.json()
    words = " ".join(str(value) for name, value in said.items() if name not in ("type", "instance"))
    assert not _INSIDE.search(words), words
    assert "<" not in answer.text
    kept = re.search(r"max-age=(\d+)", answer.headers.get("cache-control", "no-store"))
    assert kept is None or int(kept[1]) <= 60
