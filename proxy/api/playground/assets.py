"""The files of the playground's page and its sample pictures, read once at the start."""

from collections.abc import Mapping
from importlib.resources import files

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}

SAMPLES = {
    "beach.jpg": "Photograph with people",
    "balloon.jpg": "Tall picture, rotated by EXIF",
    "product.jpg": "Product on white",
    "logo.png": "Logo with transparency",
    "screenshot.png": "Screenshot",
    "orbit.gif": "Animation",
}
"""The sample pictures in ``proxy/data/demo``, with what each of them shows."""

Assets = dict[str, tuple[bytes, dict[str, str]]]


def load_assets(base: str) -> Assets:
    """Return body and headers of each file, by its path below ``base``."""
    folder = files("proxy").joinpath("data", "playground")
    assets: Assets = {}
    for file in folder.iterdir():
        if file.name.endswith((".js", ".css")):
            assets[f"/{file.name}"] = _asset(file.name, file.read_bytes())
    page = folder.joinpath("index.html").read_text("utf-8").replace("{base}", base).encode()
    assets[""] = assets["/"] = _asset("index.html", page)
    samples = files("proxy").joinpath("data", "demo")
    for name in SAMPLES:
        assets[f"/samples/{name}"] = _asset(name, samples.joinpath(name).read_bytes())
    return assets


def sample_sources(aliases: Mapping[str, str]) -> list[dict[str, str | None]]:
    """Describe the samples; one has a ``source`` where an alias leads to their folder."""
    folder = f"file://{files('proxy').joinpath('data', 'demo')}"
    alias = next((name for name, url in aliases.items() if url.rstrip("/") == folder), None)
    return [
        {"name": name, "title": title, "source": f"{alias}:{name}" if alias else None}
        for name, title in SAMPLES.items()
    ]


def _asset(name: str, body: bytes) -> tuple[bytes, dict[str, str]]:
    return body, {
        "content-type": _MEDIA_TYPES[name[name.rindex(".") :]],
        "cache-control": "no-cache",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
