"""CDNs that are purged together with our cache: one file for each kind, and one line in `CDNS`.

A CDN from outside the package is passed to `PurgeService` instead, beside those of `open_cdns`. It
gets its settings from its maker.
"""

from collections.abc import Callable, Sequence

from proxy.cache.cdn.bunny import BunnyCdn
from proxy.cache.cdn.cloudflare import CloudflareCdn
from proxy.cache.cdn.cloudfront import CloudFrontCdn
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.fastly import FastlyCdn
from proxy.cache.cdn.http_purge import HttpPurgeCdn
from proxy.cache.cdn.protocol import CDN
from proxy.sources.net.http_client import HttpClient

CDNS: tuple[Callable[[CdnConfig, HttpClient], Sequence[CDN]], ...] = (
    HttpPurgeCdn.from_config,
    CloudflareCdn.from_config,
    FastlyCdn.from_config,
    CloudFrontCdn.from_config,
    BunnyCdn.from_config,
)
"""Each returns the CDNs of its kind that the settings name."""


def open_cdns(config: CdnConfig, client: HttpClient) -> list[CDN]:
    return [cdn for from_config in CDNS for cdn in from_config(config, client)]
