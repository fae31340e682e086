"""Amazon CloudFront: invalidate by cache tag.

The distribution must read the tags: set its ``CacheTagConfig`` to the header ``Cache-Tag``.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-by-tags.html
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4
from xml.sax.saxutils import escape

from proxy.cache.cdn.aws_signature import AwsCredentials, sign_post
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.protocol import call_api, chunked
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url

_MAX_TAGS = 100  # in one invalidation
_VERSION = "2020-05-31"
_REGION = "us-east-1"  # of the whole service


class CloudFrontCdn:
    """One distribution. CloudFront has no soft purge, so both kinds remove."""

    name = "cloudfront"

    def __init__(
        self, client: HttpClient, *, distribution_id: str, credentials: AwsCredentials, api_url: str
    ) -> None:
        """``api_url`` has no slash at its end."""
        self._client = client
        self._url = f"{api_url}/{_VERSION}/distribution/{distribution_id}/invalidation"
        self._credentials = credentials

    @classmethod
    def from_config(cls, config: CdnConfig, client: HttpClient) -> list[Self]:
        if not config.cloudfront_distribution_id:
            return []
        cdn = cls(
            client,
            distribution_id=config.cloudfront_distribution_id,
            credentials=AwsCredentials(
                config.cloudfront_access_key_id,
                config.cloudfront_secret_access_key,
                config.cloudfront_session_token,
            ),
            api_url=config.cloudfront_api_url,
        )
        return [cdn]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        for some in chunked(tags, _MAX_TAGS):
            body = _invalidation(some)
            headers = sign_post(
                parse_url(self._url),
                body,
                self._credentials,
                region=_REGION,
                service="cloudfront",
                now=datetime.now(UTC),
            )
            await call_api(self._client, "POST", self._url, headers, body)


def _invalidation(tags: Sequence[str]) -> bytes:
    items = "".join(f"<Path>#{escape(tag)}</Path>" for tag in tags)
    return (
        f'<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/{_VERSION}/">'
        f"<CallerReference>{uuid4()}</CallerReference>"
        f"<Paths><Quantity>{len(tags)}</Quantity><Items>{items}</Items></Paths>"
        "</InvalidationBatch>"
    ).encode()
