"""What the operator says about sources."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from msgspec import Meta, field

from proxy.errors import InvalidSource
from proxy.sources.download import MAX_INFLIGHT_BYTES
from proxy.sources.net import object_store
from proxy.sources.net.http_client import HttpClientConfig
from proxy.sources.net.ssrf_policy import DEFAULT_PORTS, SsrfPolicy
from proxy.sources.net.url import parse_url

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_TAKEN = frozenset(("http", "https", "upload", "b64", "data"))


class SourceConfig(HttpClientConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where originals may come from."""

    allow_nets: tuple[str, ...] = ()
    """Private networks that may be dialled, as CIDRs; a cloud's metadata only as exactly itself."""

    allow_hosts: tuple[str, ...] = ()
    """When set, the only hosts to ask; `*.example.com`: those below, `.example.com`: it as well."""

    allow_http: bool = True
    """Whether plain `http://` may be asked at all."""

    allow_ports: tuple[str, ...] = DEFAULT_PORTS
    """Ports that may be asked, as numbers and ranges."""

    max_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    """Further tries, within the deadline, for what may be over in a moment."""

    retry_backoff_seconds: Annotated[float, Meta(ge=0, le=60)] = 0.1
    """Longest pause before the first further try; doubled before each one after it."""

    max_inflight_bytes: Annotated[int, Meta(ge=1)] = MAX_INFLIGHT_BYTES
    """Most bytes of originals under way at a time, though one always may be; beyond it, 503."""

    aliases: dict[str, str] = field(default_factory=dict)
    """Sources by name, each `file:///folder`, `https://host/path/` or a bucket such as
    `s3://bucket/prefix`; links say `NAME:path`."""

    def __post_init__(self) -> None:
        for name in ("allow_nets", "allow_hosts", "allow_ports"):
            try:
                SsrfPolicy(**{name: getattr(self, name)})
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        for name, place in self.aliases.items():
            _check(name, place)

    def ssrf_policy(self) -> SsrfPolicy:
        """Whom sources may ask."""
        return SsrfPolicy(
            allow_nets=self.allow_nets,
            allow_hosts=self.allow_hosts,
            allow_ports=self.allow_ports,
            allow_http=self.allow_http,
        )


def _check(name: str, place: str) -> None:
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise ValueError(
            f"aliases: {name!r} is not a name: a small letter, then up to 31 small letters, digits, "
            f"hyphens or underscores, and none of {', '.join(sorted(_TAKEN))}"
        )
    scheme, _, rest = place.partition("://")
    if scheme == "file":
        if not PurePosixPath(rest).is_absolute():
            raise ValueError(f"aliases: {name}: a folder is written file:///absolute/path")
    elif scheme in ("http", "https"):
        try:
            target = parse_url(place).target
        except InvalidSource as error:
            raise ValueError(f"aliases: {name}: {error}") from error
        if "?" in target or not target.endswith("/"):
            raise ValueError(f"aliases: {name}: a base URL ends with a slash and has no query")
    elif scheme in object_store.SCHEMES:
        try:
            object_store.check_location(place)
        except ValueError as error:
            raise ValueError(f"aliases: {name}: {error}") from error
    else:
        raise ValueError(
            f"aliases: {name}: a source is written file:///folder, https://host/path/ or "
            "s3://bucket/prefix"
        )
