"""An imgproxy dialect with these settings, and a native one to compare with."""

import base64
import hmac
from collections.abc import Collection
from typing import Any

from proxy.image_request import ImageRequest
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.imgproxy import ImgproxyDialect
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.validation import convert

KEY, SALT = "a1" * 32, "b2" * 32
PRESETS = {"sharp": "sh:0.7", "card": "rs:fill:400:300/q:80"}
URL = "https://images.example/photo.jpg"
NOW = 1000.0


def context(aliases: Collection[str] = (), **config: Any) -> DialectContext:
    return DialectContext(
        OperationRegistry(OPERATIONS),
        LinksConfig(allow_unsigned=True),
        aliases=aliases,
        sections=[convert(ImgproxyConfig, config)],
    )


def dialect(aliases: Collection[str] = (), **config: Any) -> ImgproxyDialect:
    return ImgproxyDialect(context(aliases, **config), now=lambda: NOW)


def native(aliases: Collection[str] = ()) -> NativeDialect:
    return NativeDialect(context(aliases), now=lambda: NOW)


def parse_unsigned(rest: str, aliases: Collection[str] = (), **config: Any) -> ImageRequest:
    """Parse what follows the signature."""
    return dialect(aliases, allow_unsigned=True, **config).parse(f"/unsafe/{rest}".encode())


def meaning(options: str, **config: Any) -> str:
    """The steps of the native link that these options mean."""
    request = parse_unsigned("/".join(filter(None, (options, f"plain/{URL}"))), **config)
    return native().build(request).removeprefix("/_/").removesuffix(URL).rstrip("/")


def sign(rest: str, key: str = KEY, salt: str = SALT, size: int = 32) -> str:
    """Sign what follows the signature, which begins with a slash, and return the whole path."""
    mac = hmac.digest(bytes.fromhex(key), bytes.fromhex(salt) + rest.encode(), "sha256")[:size]
    return f"/{base64.urlsafe_b64encode(mac).decode().rstrip('=')}{rest}"
