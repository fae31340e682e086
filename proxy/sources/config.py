"""The settings of the sources."""

import re
from typing import Annotated

from msgspec import Meta, field

from proxy.sources.download import MAX_INFLIGHT_BYTES
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.ssrf_policy import DEFAULT_PORTS, SsrfPolicy
from proxy.sources.options import OriginKey, SourceOptions

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_RESERVED = frozenset(("http", "https", "upload", "b64", "data"))


class SourceConfig(HttpClientConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where originals may come from."""

    allow_nets: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Private networks that sources may be in, as CIDRs. The metadata address of a "
                "cloud must be listed exactly as itself."
            )
        ),
    ] = ()

    allow_hosts: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description=(
                "When set, only these hosts are allowed as sources. `*.example.com` matches all "
                "hosts below example.com, `.example.com` also matches example.com."
            ),
        ),
    ] = ()

    allow_http: Annotated[
        bool, Meta(description="Allow `http://` sources. When false, only `https://` is allowed.")
    ] = True

    allow_ports: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="Ports that sources may use, as numbers and ranges."),
    ] = DEFAULT_PORTS

    max_retries: Annotated[
        int,
        Meta(
            ge=0,
            le=10,
            description=(
                "Retries after a connection error or a 502, 503 or 504. All attempts share the "
                "fetch timeout."
            ),
        ),
    ] = 2

    retry_backoff_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description=(
                "Longest pause in seconds before the first retry. It doubles before each "
                "further retry."
            ),
        ),
    ] = 0.1

    max_retry_after_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description=(
                "Longest time in seconds for which a server is left alone that answers 429 or 503 "
                "with `Retry-After`. 0 ignores it."
            ),
        ),
    ] = 600.0

    max_inflight_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description=(
                "Bytes of originals that one worker has in memory at the same time, from their "
                "download to the end of their render. Above it, requests wait before they ask the "
                "source. It is never less than one largest original; where sources do not say how "
                "long originals are, it may be one largest original more."
            ),
        ),
    ] = MAX_INFLIGHT_BYTES

    aliases: Annotated[
        dict[str, str],
        Meta(
            description=(
                "Sources by name, each a `file:///folder`, an `https://host/path/` or a bucket "
                "such as `s3://bucket/prefix`. A link uses one as `ALIAS:path`."
            )
        ),
    ] = field(default_factory=dict)

    alias_options: Annotated[
        dict[str, SourceOptions],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Options of sources by alias: `headers`, `bearer`, `basic`, `bearer_file`, "
                "`basic_file`, `user_agent`, `referer` and `cache_control`. Only `cache_control` "
                "is for buckets, and none for folders."
            ),
        ),
    ] = field(default_factory=dict)

    origin_options: Annotated[
        dict[str, SourceOptions],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "The same options for URLs, by origin: `https://cdn.example.com`, "
                "`https://*.example.com`, `http://10.0.0.3:8080`."
            ),
        ),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("allow_nets", "allow_hosts", "allow_ports"):
            try:
                SsrfPolicy(**{name: getattr(self, name)})
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        for alias in self.aliases:
            _check_alias(alias)
        for alias in self.alias_options:
            if alias not in self.aliases:
                raise ValueError(f"alias_options: {alias!r} is not in FRAMEKEEP_SOURCES_ALIASES")
        for origin in self.origin_options:
            try:
                OriginKey.parse(origin)
            except ValueError as error:
                raise ValueError(f"origin_options: {error}") from error

    def ssrf_policy(self) -> SsrfPolicy:
        return SsrfPolicy(
            allow_nets=self.allow_nets,
            allow_hosts=self.allow_hosts,
            allow_ports=self.allow_ports,
            allow_http=self.allow_http,
        )


def _check_alias(alias: str) -> None:
    if not _ALIAS.fullmatch(alias) or alias in _RESERVED:
        raise ValueError(
            f"aliases: {alias!r} is not a name: use a lowercase letter, then up to 31 lowercase "
            f"letters, digits, hyphens or underscores, and none of {', '.join(sorted(_RESERVED))}"
        )
