"""Thumbor and imagor dialects with these settings, and a native one to compare with."""

import base64
import hmac
from collections.abc import Collection
from typing import Any

from proxy.image_request import ImageRequest
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.links.thumbor import ImagorDialect, ThumborDialect
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.validation import convert

KEY = "MY_SECURE_KEY"
URL = "https://images.example/photo.jpg"
NOW = 1000.0


def context(
    aliases: Collection[str] = (), kind: type = ThumborConfig, **config: Any
) -> DialectContext:
    return DialectContext(
        OperationRegistry(OPERATIONS),
        LinksConfig(allow_unsigned=True),
        aliases=aliases,
        sections=[convert(kind, config)],
    )


def thumbor(aliases: Collection[str] = (), **config: Any) -> ThumborDialect:
    return ThumborDialect(context(aliases, **config), now=lambda: NOW)


def imagor(aliases: Collection[str] = (), **config: Any) -> ImagorDialect:
    return ImagorDialect(context(aliases, ImagorConfig, **config), now=lambda: NOW)


def native(aliases: Collection[str] = ()) -> NativeDialect:
    return NativeDialect(context(aliases), now=lambda: NOW)


def parse_unsigned(
    rest: str, aliases: Collection[str] = (), *, is_imagor: bool = False, **config: Any
) -> ImageRequest:
    """Parse what follows the signature."""
    dialect = imagor if is_imagor else thumbor
    return dialect(aliases, allow_unsigned=True, **config).parse(f"/unsafe/{rest}".encode())


def meaning(parts: str, *, is_imagor: bool = False, **config: Any) -> str:
    """The steps of the native link that these parts mean."""
    rest = "/".join(filter(None, (parts, URL)))
    request = parse_unsigned(rest, is_imagor=is_imagor, **config)
    return native().build(request).removeprefix("/_/").removesuffix(URL).rstrip("/")


def sign(rest: str, key: str = KEY, algorithm: str = "sha1", length: int | None = None) -> str:
    """Sign what follows the signature, and return the whole path."""
    mac = hmac.digest(key.encode(), rest.encode(), algorithm)
    return f"/{base64.urlsafe_b64encode(mac).decode()[:length]}/{rest}"
