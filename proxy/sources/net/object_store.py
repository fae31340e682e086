"""Open buckets by their URL: S3 and compatible services, Google Cloud Storage, Azure Blob Storage.

    s3://bucket/prefix?region=eu-central-1&endpoint=https://s3.example.com
    gs://bucket/prefix
    az://container/prefix?account_name=pictures

Credentials are never in the URL: obstore finds them where the tools of each cloud do, in the
environment, in files that it names, or in the role of the machine. obstore is an extra, and is
imported only when a bucket is opened. `proxy.sources.object_storage` fetches originals from a
bucket, `proxy.cache.shared` stores renditions in one.
"""

from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_MAX_RETRIES = 2
_OPTIONS = {
    "s3": ("endpoint", "region", "skip_signature", "virtual_hosted_style_request"),
    "gs": ("skip_signature",),
    "az": ("account_name", "endpoint", "skip_signature"),
}


def check_location(location: str) -> None:
    """Raise ValueError with the reason unless this is the URL of a bucket that can be opened."""
    parts, options = _split(location)
    known = _OPTIONS.get(parts.scheme, ())
    if not known or not parts.netloc or parts.fragment or "@" in parts.netloc:
        raise ValueError("a bucket is written s3://bucket/prefix, gs://… or az://container/…")
    if unknown := options.keys() - set(known):
        raise ValueError(
            f"unknown bucket option {min(unknown)!r}; the options of {parts.scheme}:// are: "
            f"{', '.join(known)}"
        )
    if find_spec("obstore") is None:
        raise ValueError("object storage needs an extra: pip install 'framekeep[objects]'")


def open_bucket(
    location: str, *, timeout_seconds: float, connect_timeout_seconds: float
) -> "ObjectStore":
    """Open a bucket without connecting to it. Raises ValueError for contradictory options."""
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
    from obstore.store import from_url  # noqa: PLC0415 - an extra

    parts, options = _split(location)
    config: Any = options
    timeout = timedelta(seconds=timeout_seconds)
    # Google's address is HTTPS, unless the credentials of the operator name another one.
    allow_http = parts.scheme == "gs" or options.get("endpoint", "").startswith("http://")
    try:
        return from_url(
            parts._replace(query="").geturl(),
            config=config,
            client_options={
                "allow_http": allow_http,
                "connect_timeout": timedelta(seconds=connect_timeout_seconds),
                "timeout": timeout,
            },
            retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": timeout},
        )
    except BaseError as error:
        raise ValueError(f"bucket cannot be opened: {str(error).splitlines()[0]}") from error


def _split(location: str) -> tuple[SplitResult, dict[str, str]]:
    parts = urlsplit(location)
    return parts, dict(parse_qsl(parts.query, keep_blank_values=True))
