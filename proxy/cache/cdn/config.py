"""The settings of the CDNs."""

from typing import Annotated, Literal

from msgspec import Meta

from proxy.validation import HidesSecrets

HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s?#]+[^\s?#/]$",
        max_length=1024,
        title="at most 1024 characters of an http(s):// URL without a query and a last slash",
    ),
]
Identifier = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]*$", max_length=256, title="at most 256 of A-Z a-z 0-9 _ -")
]
Token = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]*$",
        max_length=1024,
        title="at most 1024 visible ASCII characters",
        extra_json_schema={"writeOnly": True},
    ),
]


class CdnConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """CDNs and caching proxies that are purged together with the cache."""

    purge_urls: Annotated[
        tuple[HttpUrl, ...],
        Meta(
            description=(
                "Base URLs of nginx or Varnish servers that get a request for every purge."
            )
        ),
    ] = ()

    purge_method: Annotated[
        Literal["PURGE", "BAN"], Meta(description="HTTP method of these requests.")
    ] = "PURGE"

    cloudflare_zone_id: Annotated[
        Identifier,
        Meta(description="Cloudflare zone that is purged by Cache-Tag. Empty turns it off."),
    ] = ""

    cloudflare_api_token: Annotated[
        Token, Meta(description="Cloudflare API token with the permission to purge this zone.")
    ] = ""

    cloudflare_api_url: Annotated[HttpUrl, Meta(description="Base URL of the Cloudflare API.")] = (
        "https://api.cloudflare.com/client/v4"
    )

    fastly_service_id: Annotated[
        Identifier,
        Meta(description="Fastly service that is purged by Surrogate-Key. Empty turns it off."),
    ] = ""

    fastly_api_token: Annotated[
        Token, Meta(description="Fastly API token with the permission to purge this service.")
    ] = ""

    fastly_api_url: Annotated[HttpUrl, Meta(description="Base URL of the Fastly API.")] = (
        "https://api.fastly.com"
    )

    def __post_init__(self) -> None:
        for target, token in (
            ("cloudflare_zone_id", "cloudflare_api_token"),
            ("fastly_service_id", "fastly_api_token"),
        ):
            if bool(getattr(self, target)) != bool(getattr(self, token)):
                missing = token if getattr(self, target) else target
                raise ValueError(f"{missing}: {target} and {token} must be set together")
