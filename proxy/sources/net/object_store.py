"""Object storage by its URL: S3 and what speaks like it, Google Cloud Storage, Azure Blob.

    s3://bucket/prefix?region=eu-central-1&endpoint=https://s3.example.com
    gs://bucket/prefix
    az://container/prefix?account_name=pictures

Credentials never stand in the URL: obstore finds them where each cloud's own tools do, in the
environment, in files that it names, or in the role of the machine. It is an extra, and imported
only where a bucket is opened.
"""

from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")

_OPTIONS = frozenset(
    ("account_name", "endpoint", "region", "skip_signature", "virtual_hosted_style_request")
)


def check_location(location: str) -> None:
    """Raise ValueError with the reason unless this is the URL of a bucket that could be opened."""
    parts, options = _read(location)
    unknown = options.keys() - _OPTIONS
    if parts.scheme not in SCHEMES or not parts.netloc or parts.fragment or "@" in parts.netloc:
        raise ValueError("a bucket is written s3://bucket/prefix, gs://… or az://container/…")
    if unknown:
        raise ValueError(
            f"a bucket's URL has no option {min(unknown)!r}: {', '.join(sorted(_OPTIONS))}"
        )
    if find_spec("obstore") is None:
        raise ValueError("object storage needs an extra: pip install 'framekeep[objects]'")


def open_bucket(location: str, *, seconds: float, connect_seconds: float) -> "ObjectStore":
    """The bucket; raises ValueError where its options do not go together."""
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
    from obstore.store import from_url  # noqa: PLC0415 - an extra

    parts, options = _read(location)
    config: Any = options
    try:
        return from_url(
            parts._replace(query="").geturl(),
            config=config,
            client_options={
                "allow_http": options.get("endpoint", "").startswith("http://"),
                "connect_timeout": timedelta(seconds=connect_seconds),
                "timeout": timedelta(seconds=seconds),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=seconds)},
        )
    except BaseError as error:
        raise ValueError(f"the bucket cannot be opened: {str(error).splitlines()[0]}") from error


def _read(place: str) -> tuple[SplitResult, dict[str, str]]:
    parts = urlsplit(place)
    return parts, dict(parse_qsl(parts.query, keep_blank_values=True))
