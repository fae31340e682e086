"""What the operator says about sources."""

import re
from pathlib import PurePosixPath
from typing import Annotated

from msgspec import Meta, field

from proxy.errors import InvalidSource
from proxy.sources.download import HELD_BYTES
from proxy.sources.net import object_store
from proxy.sources.net.http_client import Dialing
from proxy.sources.net.ssrf_policy import ANY_PORTS, Reach
from proxy.sources.net.url import read

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_TAKEN = frozenset(("http", "https", "upload", "b64", "data"))


class SourceSettings(Dialing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where originals may come from."""

    allow_nets: tuple[str, ...] = ()
    """Private networks that may be dialled, as CIDRs; a cloud's metadata only as exactly itself."""

    allow_hosts: tuple[str, ...] = ()
    """When set, the only hosts to ask; `*.example.com`: those below, `.example.com`: it as well."""

    allow_http: bool = True
    """Whether plain `http://` may be asked at all."""

    ports: tuple[str, ...] = ANY_PORTS
    """Ports that may be asked, as numbers and ranges."""

    retries: Annotated[int, Meta(ge=0, le=10)] = 2
    """Further tries, within the deadline, for what may be over in a moment."""

    retry_seconds: Annotated[float, Meta(ge=0, le=60)] = 0.1
    """Longest pause before the first further try; doubled before each one after it."""

    held_bytes: Annotated[int, Meta(ge=1)] = HELD_BYTES
    """Most bytes of originals under way at a time, though one always may be; beyond it, 503."""

    named: dict[str, str] = field(default_factory=dict)
    """Sources by name, each `file:///folder`, `https://host/path/` or a bucket such as
    `s3://bucket/prefix`; links say `NAME:path`."""

    def __post_init__(self) -> None:
        for name in ("allow_nets", "allow_hosts", "ports"):
            try:
                Reach(**{name: getattr(self, name)})
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        for name, place in self.named.items():
            _check(name, place)

    def reach(self) -> Reach:
        """Whom sources may ask."""
        return Reach(
            allow_nets=self.allow_nets,
            allow_hosts=self.allow_hosts,
            ports=self.ports,
            allow_http=self.allow_http,
        )


def _check(name: str, place: str) -> None:
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise ValueError(
            f"named: {name!r} is not a name: a small letter, then up to 31 small letters, digits, "
            f"hyphens or underscores, and none of {', '.join(sorted(_TAKEN))}"
        )
    scheme, _, rest = place.partition("://")
    if scheme == "file":
        if not PurePosixPath(rest).is_absolute():
            raise ValueError(f"named: {name}: a folder is written file:///absolute/path")
    elif scheme in ("http", "https"):
        try:
            target = read(place).target
        except InvalidSource as error:
            raise ValueError(f"named: {name}: {error}") from error
        if "?" in target or not target.endswith("/"):
            raise ValueError(f"named: {name}: a base URL ends with a slash and has no query")
    elif scheme in object_store.SCHEMES:
        try:
            object_store.check(place)
        except ValueError as error:
            raise ValueError(f"named: {name}: {error}") from error
    else:
        raise ValueError(
            f"named: {name}: a source is written file:///folder, https://host/path/ or "
            "s3://bucket/prefix"
        )
