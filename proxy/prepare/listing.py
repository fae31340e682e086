"""A bucket as a manifest: the objects below a prefix, as links name them by an alias."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from proxy.errors import ConfigError
from proxy.prepare.manifest import ManifestRow
from proxy.sources.net.object_store import check_location, open_bucket

BUCKET_SCHEMES = ("s3://", "gs://", "az://")

_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".gif", ".heic", ".heif"),
    *(".tif", ".tiff", ".jxl", ".svg", ".bmp", ".ico"),
)
_TIMEOUT_SECONDS = 60.0
_CONNECT_TIMEOUT_SECONDS = 5.0


class BucketPrefix(NamedTuple):
    """What is listed: the names below ``prefix`` in the bucket of an alias."""

    alias: str
    location: str
    prefix: str


def find_prefix(url: str, aliases: Mapping[str, str]) -> BucketPrefix:
    """The alias whose bucket has this URL in it. Raises ConfigError where there is none."""
    wanted = _place(url)
    found = [
        BucketPrefix(alias, location, wanted.removeprefix(_place(location)))
        for alias, location in aliases.items()
        if location.startswith(BUCKET_SCHEMES) and wanted.startswith(_place(location))
    ]
    if not found:
        raise ConfigError(
            f"{url}: no alias of FRAMEKEEP_SOURCES_ALIASES has this bucket, so no link names its "
            "objects"
        )
    return min(found, key=lambda one: len(one.prefix))


async def list_rows(place: BucketPrefix) -> AsyncIterator[ManifestRow]:
    """Yield a row for each object whose name ends as that of an image does.

    Raises ConfigError where the bucket cannot be listed.
    """
    try:
        check_location(place.location)
    except ValueError as error:
        raise ConfigError(f"{place.location}: {error}") from error
    import obstore  # noqa: PLC0415 - an extra

    try:
        bucket = open_bucket(
            place.location,
            timeout_seconds=_TIMEOUT_SECONDS,
            connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        )
        pages: Any = obstore.list(bucket, place.prefix.rstrip("/") or None)
        async for page in pages:
            for one in page:
                if one["path"].lower().endswith(_SUFFIXES):
                    yield ManifestRow(f"{place.alias}:{one['path']}")
    except (OSError, ValueError, obstore.exceptions.BaseError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{place.location}: the bucket cannot be listed: {reason}") from error


def _place(url: str) -> str:
    """Bucket and prefix, with a slash at the end."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"
