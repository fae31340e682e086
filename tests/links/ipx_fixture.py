"""An IPX dialect with these settings, and a native one to compare with."""

from collections.abc import Collection
from typing import Any

from proxy.image_request import ImageRequest
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.ipx import IpxDialect
from proxy.links.ipx.config import IpxConfig
from proxy.links.ipx.modifiers import MODIFIERS
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.validation import convert

SOURCE = "media:img/a.jpg"
OPEN = {
    "allow_sources": ("/", "https://images.example/"),
    "allow_modifiers": tuple(MODIFIERS),
    "max_renditions": 0,
    "base_url": "media:",
}
"""Settings with which every modifier is allowed."""


def context(aliases: Collection[str] = ("media",), **config: Any) -> DialectContext:
    return DialectContext(
        OperationRegistry(OPERATIONS),
        LinksConfig(allow_unsigned=True),
        aliases=aliases,
        sections=[convert(IpxConfig, config)],
    )


def dialect(**config: Any) -> IpxDialect:
    return IpxDialect(context(**{**OPEN, **config}))


def native() -> NativeDialect:
    return NativeDialect(context())


def parse(path: str, **config: Any) -> ImageRequest:
    return dialect(**config).parse(path.encode())


def meaning(modifiers: str, **config: Any) -> str:
    """The steps of the native link that these modifiers mean."""
    request = parse(f"/{modifiers}/img/a.jpg", **config)
    return native().build(request).removeprefix("/_/").removesuffix(SOURCE).rstrip("/")
