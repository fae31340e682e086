"""Which CDNs are told of a purge."""

from typing import Annotated, Literal

from msgspec import Meta

from proxy.cache.cdn import Cdn
from proxy.cache.cdn.cloudflare import Cloudflare
from proxy.cache.cdn.fastly import Fastly
from proxy.cache.cdn.http_purge import Front
from proxy.sources.net.http_client import HttpClient
from proxy.validation import Discreet

Url = Annotated[str, Meta(pattern=r"^https?://[^\s?#]+[^\s?#/]$", max_length=1024)]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]*$", max_length=256)]
Token = Annotated[
    str, Meta(pattern=r"^[\x21-\x7e]*$", max_length=1024, extra_json_schema={"writeOnly": True})
]


class CdnConfig(Discreet, frozen=True, forbid_unknown_fields=True):
    """Caches in front that are told of every purge."""

    purge_urls: tuple[Url, ...] = ()
    """nginx or Varnish servers that take PURGE or BAN requests; see the page on the cache."""

    purge_method: Literal["PURGE", "BAN"] = "PURGE"
    """What these servers are sent."""

    cloudflare_zone_id: Word = ""
    """Zone whose answers are purged by Cache-Tag; empty for none."""

    cloudflare_api_token: Token = ""
    """API token that may purge this zone."""

    cloudflare_api_url: Url = "https://api.cloudflare.com/client/v4"
    """Where Cloudflare's API is."""

    fastly_service_id: Word = ""
    """Service whose answers are purged by Surrogate-Key; empty for none."""

    fastly_api_token: Token = ""
    """API token that may purge this service."""

    fastly_api_url: Url = "https://api.fastly.com"
    """Where Fastly's API is."""

    def cdns(self, dialer: HttpClient) -> list[Cdn]:
        """All that are configured."""
        found: list[Cdn] = [Front(dialer, url, self.purge_method) for url in self.purge_urls]
        if self.cloudflare_zone_id:
            found.append(
                Cloudflare(
                    dialer,
                    zone=self.cloudflare_zone_id,
                    token=self.cloudflare_api_token,
                    url=self.cloudflare_api_url,
                )
            )
        if self.fastly_service_id:
            found.append(
                Fastly(
                    dialer,
                    service=self.fastly_service_id,
                    token=self.fastly_api_token,
                    url=self.fastly_api_url,
                )
            )
        return found

    def complaint(self) -> str:
        """Why this cannot work, empty where it can."""
        for name in ("cloudflare_zone_id", "fastly_service_id"):
            token = f"{name.partition('_')[0]}_api_token"
            if bool(getattr(self, name)) != bool(getattr(self, token)):
                return f"FRAMEKEEP_CDN_{name.upper()} and FRAMEKEEP_CDN_{token.upper()} go together"
        return ""
