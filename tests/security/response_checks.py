"""What must be true of every response, whatever the request was."""

import re
from typing import Any

import httpx2 as httpx

from proxy.imaging.headers import probe

# What only the server itself knows: paths, stack traces, names of libraries, memory addresses.
_INTERNALS = re.compile(
    r"/(home|root|usr|tmp|proc|etc|var|work|opt)/|Traceback|\.py\b|line \d+| at 0x[0-9a-f]+"
    r"|vips|libpng|libjpeg|tiff_|heif_|Pillow|PIL\b|aiohttp|sqlite|msgspec|asyncio",
    re.IGNORECASE,
)


def check_response(response: httpx.Response) -> None:
    """Assert a picture of the stated format, or a short error that discloses nothing."""
    assert response.headers["x-content-type-options"] == "nosniff", response.headers
    assert response.status_code != 500, response.text
    if response.status_code < 400:
        check_picture(response)
    else:
        check_error(response)


def check_picture(response: httpx.Response) -> None:
    assert response.headers["content-type"] == f"image/{probe(response.content).format}"
    assert "default-src 'none'" in response.headers.get(
        "content-security-policy", "default-src 'none'"
    )


def check_error(response: httpx.Response) -> None:
    assert len(response.content) < 1000, response.text
    assert response.headers["content-type"].partition(";")[0] in (
        "application/json",
        "application/problem+json",
    )
    body: dict[str, Any] = response.json()
    text = " ".join(str(value) for name, value in body.items() if name not in ("type", "instance"))
    assert not _INTERNALS.search(text), text
    assert "<" not in response.text
    max_age = re.search(r"max-age=(\d+)", response.headers.get("cache-control", "no-store"))
    assert max_age is None or int(max_age[1]) <= 60
