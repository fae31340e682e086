"""The settings of the CDNs."""

from typing import Annotated, Literal

from msgspec import Meta

from proxy.cache.cache_tags import DEFAULT_TAG_HEADERS, TagHeader
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

SessionToken = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]*$",
        max_length=4096,
        title="at most 4096 visible ASCII characters",
        extra_json_schema={"writeOnly": True},
    ),
]

_READ_BY = {
    "cloudflare_zone_id": "Cache-Tag",
    "fastly_service_id": "Surrogate-Key",
    "cloudfront_distribution_id": "Cache-Tag",
    "bunny_pull_zone_id": "CDN-Tag",
}


class CdnConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """CDNs and caching proxies that are purged together with the cache."""

    tag_headers: Annotated[
        tuple[TagHeader, ...],
        Meta(
            description=(
                "Response headers that tell a CDN the tags of an image: `Cache-Tag` for Cloudflare "
                "and CloudFront, `Surrogate-Key` for Fastly and Varnish, `CDN-Tag` for bunny.net, "
                "`Edge-Cache-Tag` for Akamai."
            )
        ),
    ] = DEFAULT_TAG_HEADERS

    purge_urls: Annotated[
        tuple[HttpUrl, ...],
        Meta(
            description=(
                "Base URLs of Varnish servers, or of others that understand it, which get a "
                "request for every purge. nginx itself does not."
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

    cloudfront_distribution_id: Annotated[
        Identifier,
        Meta(
            description=(
                "CloudFront distribution that is purged by cache tag. Empty turns it off. Set the "
                "`CacheTagConfig` of the distribution to the header `Cache-Tag`."
            )
        ),
    ] = ""

    cloudfront_access_key_id: Annotated[
        Token,
        Meta(
            description=(
                "Access key of a user of AWS that may call `cloudfront:CreateInvalidation` for "
                "this distribution."
            )
        ),
    ] = ""

    cloudfront_secret_access_key: Annotated[
        Token, Meta(description="The secret that belongs to this access key.")
    ] = ""

    cloudfront_session_token: Annotated[
        SessionToken, Meta(description="The session token, if these credentials are temporary.")
    ] = ""

    cloudfront_api_url: Annotated[HttpUrl, Meta(description="Base URL of the CloudFront API.")] = (
        "https://cloudfront.amazonaws.com"
    )

    bunny_pull_zone_id: Annotated[
        Identifier,
        Meta(
            description=(
                "Pull zone of bunny.net that is purged by tag. Empty turns it off. It needs "
                "`CDN-Tag` in `tag_headers`."
            )
        ),
    ] = ""

    bunny_api_key: Annotated[
        Token, Meta(description="API key of the bunny.net account, or of a user of it.")
    ] = ""

    bunny_api_url: Annotated[HttpUrl, Meta(description="Base URL of the bunny.net API.")] = (
        "https://api.bunny.net"
    )

    def __post_init__(self) -> None:
        for target, token in (
            ("cloudflare_zone_id", "cloudflare_api_token"),
            ("fastly_service_id", "fastly_api_token"),
            ("cloudfront_distribution_id", "cloudfront_access_key_id"),
            ("cloudfront_access_key_id", "cloudfront_secret_access_key"),
            ("bunny_pull_zone_id", "bunny_api_key"),
        ):
            if bool(getattr(self, target)) != bool(getattr(self, token)):
                missing = token if getattr(self, target) else target
                raise ValueError(f"{missing}: {target} and {token} must be set together")
        for target, header in _READ_BY.items():
            if getattr(self, target) and header not in self.tag_headers:
                raise ValueError(f"tag_headers: {target} needs {header} in it")
