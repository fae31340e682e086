"""The settings of the image transformation API."""

from typing import Annotated, Any

from msgspec import Meta

from proxy.api.transform.webhook_signature import WebhookSigner
from proxy.sources.net.ssrf_policy import DEFAULT_PORTS, SsrfPolicy
from proxy.validation import HidesSecrets

WebhookSecret = Annotated[
    str,
    Meta(
        pattern=r"^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        title="`whsec_` and 24 to 64 bytes in Base64",
    ),
]


class TransformConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """The API that is compatible with Iteration Layer."""

    allow_http: Annotated[
        bool,
        Meta(
            description=(
                "Allow `http://` URLs for files and in operations. When false, only `https://` is "
                "allowed. `framekeep serve --dev` allows both."
            )
        ),
    ] = False

    webhook_allow_http: Annotated[
        bool,
        Meta(
            description=(
                "Allow `http://` URLs for webhooks. When false, only `https://` is allowed."
            )
        ),
    ] = False

    max_body_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description=(
                "Bytes of the largest request body. Larger bodies are answered with 413. A 50 MB "
                "file is a third larger in Base64."
            ),
        ),
    ] = 75_497_472

    rate_limit_per_minute_per_worker: Annotated[
        int,
        Meta(
            ge=0,
            description=(
                "Requests per minute that one key may send to each worker. Above it, requests are "
                "answered with 429. 0 means no limit."
            ),
        ),
    ] = 0

    webhook_allow_hosts: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description=(
                "When set, only these hosts are allowed as webhooks. Patterns are those of "
                "`FRAMEKEEP_SOURCES_ALLOW_HOSTS`."
            ),
        ),
    ] = ()

    webhook_allow_nets: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Private networks that webhooks may be in, as CIDRs. Those of "
                "`FRAMEKEEP_SOURCES_ALLOW_NETS` are for sources only."
            )
        ),
    ] = ()

    webhook_allow_ports: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Ports that webhooks may use, as numbers and ranges."),
    ] = DEFAULT_PORTS

    webhook_secrets: Annotated[
        tuple[
            WebhookSecret,
            ...,
        ],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Secrets that sign webhooks as Standard Webhooks does, each `whsec_` and 24 to 64 "
                "bytes in Base64. Every secret makes a signature, so that each can be changed "
                "alone. Without any, webhooks are not signed."
            ),
        ),
    ] = ()

    webhook_timeout_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=60,
            description="Time in seconds for one attempt to deliver a webhook.",
        ),
    ] = 10.0

    webhook_max_attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=10,
            description=(
                "Attempts to deliver one webhook. After the last one the result is dropped."
            ),
        ),
    ] = 5

    webhook_backoff_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description=(
                "Pause in seconds after the first failed attempt. It is five times as long "
                "after each further one."
            ),
        ),
    ] = 1.0

    webhook_max_queued_deliveries: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description=(
                "Webhook deliveries that wait on the disk of a machine; one key may have half of "
                "them. Above it, requests with a webhook are answered with 503."
            ),
        ),
    ] = 20_000

    webhook_max_queued_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description=(
                "Bytes of the webhook deliveries that wait on the disk of a machine, mostly of "
                "uploads; one key may have half of them. Above it, requests with a webhook are "
                "answered with 503."
            ),
        ),
    ] = 2**30

    def __post_init__(self) -> None:
        for name, value in (
            ("allow_nets", self.webhook_allow_nets),
            ("allow_hosts", self.webhook_allow_hosts),
            ("allow_ports", self.webhook_allow_ports),
        ):
            entries: Any = {name: value}
            try:
                SsrfPolicy(**entries)
            except ValueError as error:
                raise ValueError(f"webhook_{name}: {error}") from error
        try:
            WebhookSigner(self.webhook_secrets)
        except ValueError as error:
            raise ValueError(f"webhook_secrets: {error}") from error

    def webhook_policy(self) -> SsrfPolicy:
        """Return which receivers are allowed; that they use TLS is checked with the request."""
        return SsrfPolicy(
            allow_nets=self.webhook_allow_nets,
            allow_hosts=self.webhook_allow_hosts,
            allow_ports=self.webhook_allow_ports,
        )
