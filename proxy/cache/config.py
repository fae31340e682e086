"""The settings of the cache."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from proxy.cache.freshness import FreshnessConfig
from proxy.cache.store import Kind
from proxy.errors import ConfigError
from proxy.runtime.private_folder import locate_private_folder
from proxy.sources.net.object_store import check_location
from proxy.validation import HidesSecrets

CLOSE_SECONDS = 10.0
"""How long a process that stops goes on to write what is queued for the shared bucket."""

HexKey = Annotated[
    str, Meta(pattern="^([0-9A-Fa-f]{2}){16,128}$", title="16 to 128 bytes in hexadecimal")
]
Bytes = Annotated[int, Meta(ge=1024 * 1024, le=2**60)]


class CacheConfig(FreshnessConfig, frozen=True, forbid_unknown_fields=True):
    """The cache on disk and in memory."""

    dir: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description=(
                "Cache directory, on a local disk. It is created if it is missing, and must belong "
                "to the server's user and be closed to all others (mode 0700). In a volume that "
                "belongs to another user and that others may write to, as in Kubernetes, a private "
                "folder `framekeep-UID` is made and used."
            ),
        ),
    ] = "~/.cache/framekeep"

    max_result_bytes: Annotated[
        Bytes, Meta(description="Bytes of rendered images on disk. Above it, entries are evicted.")
    ] = 10_000_000_000

    max_original_bytes: Annotated[
        Bytes,
        Meta(
            description=(
                "Bytes of originals on disk, from which other sizes are rendered without a new "
                "fetch. Above it, entries are evicted."
            )
        ),
    ] = 5_000_000_000

    max_detection_bytes: Annotated[
        Bytes,
        Meta(
            description=(
                "Bytes of detected subjects on disk, which the smart crop uses. Above it, entries "
                "are evicted."
            )
        ),
    ] = 200_000_000

    max_metadata_bytes: Annotated[
        Bytes,
        Meta(
            description=(
                "Bytes of metadata of originals on disk: time to live, validators and tags. Above "
                "it, entries are evicted."
            )
        ),
    ] = 500_000_000

    max_pending_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**30,
            description=(
                "Bytes of entries that wait in the memory of each worker to be written to the "
                "disk after their answer. Where more wait, an answer waits for the disk, for up "
                "to a second; with 0 every answer does."
            ),
        ),
    ] = 32_000_000

    max_memory_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**40,
            description=(
                "Bytes of rendered images that each worker keeps in memory, in addition to the "
                "disk. 0 turns the memory cache off."
            ),
        ),
    ] = 64_000_000

    disk_backoff_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description=(
                "Time in seconds that a cache directory that could not be opened, or whose disk "
                "did not answer in time, is not used."
            ),
        ),
    ] = 5.0

    disk_timeout_seconds: Annotated[
        float,
        Meta(
            ge=0.05,
            le=60,
            description=(
                "Time in seconds that the disk of the cache has to answer. After it the disk is "
                "not used for a while, and images are rendered or come from memory."
            ),
        ),
    ] = 2.0

    def directory(self) -> Path:
        """Return the folder in use: `dir`, or a private folder in it where others share it.

        Raises ConfigError.
        """
        try:
            return locate_private_folder(self.dir)
        except ConfigError as error:
            raise ConfigError(f"FRAMEKEEP_CACHE_DIR: {error}") from error

    def budgets(self) -> dict[Kind, int]:
        return {
            "rendition": self.max_result_bytes,
            "original": self.max_original_bytes,
            "detection": self.max_detection_bytes,
            "record": self.max_metadata_bytes,
        }


class SharedCacheConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """A second cache in a bucket that several machines share."""

    url: Annotated[
        str,
        Meta(
            max_length=2048,
            description=(
                "Bucket that several machines share as a second cache: `s3://bucket/prefix`, "
                "`gs://…` or `az://…`, as for sources. Empty turns it off."
            ),
        ),
    ] = ""

    keys: Annotated[
        tuple[HexKey, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Keys of the machines that share the bucket, in hexadecimal, 16 to 128 bytes each. "
                "What is not signed with one of them is not used. The first key signs, every key "
                "verifies."
            ),
        ),
    ] = ()

    allow_unsigned: Annotated[
        bool,
        Meta(
            description=(
                "Share a bucket without keys. Then everybody who can write to it can plant images."
            )
        ),
    ] = False

    read_timeout_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=10,
            description=(
                "Time in seconds to wait for a read from the bucket. After it, the image is "
                "rendered. A read that takes longer than most is sent a second time, after half "
                "of this time at the latest."
            ),
        ),
    ] = 0.3

    write_timeout_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=300,
            description=(
                "Time in seconds to write an entry to the bucket, in the background. After it, "
                "the write has failed and is tried again, up to five times in all."
            ),
        ),
    ] = 30.0

    backoff_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description=(
                "Time in seconds that the bucket is not read, or not written, after half of the "
                "last 20 calls, and at least five, have failed. Then it is tried out in the "
                "background. Writes wait meanwhile."
            ),
        ),
    ] = 10.0

    purge_poll_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3600,
            description=(
                "Interval in seconds in which purges of other machines are read from the bucket."
            ),
        ),
    ] = 5.0

    max_write_queue: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description=(
                "Entries that wait in each worker to be written to the bucket. Above it, new "
                "entries stay on this machine only, and are counted in "
                "`framekeep_shared_cache_lost_writes_total`; work in the background waits ten "
                "seconds for room. Bodies above 64 MiB in all do not wait in memory, but are read "
                "from this machine's cache in their turn."
            ),
        ),
    ] = 10_000

    def validate(self) -> None:
        """Raise ConfigError for a bucket whose entries could be anybody's."""
        if self.url and not self.keys and not self.allow_unsigned:
            raise ConfigError(
                "FRAMEKEEP_SHARED_CACHE_KEYS is not set, so images in the bucket could be planted: "
                "set one or more keys in hexadecimal (`openssl rand -hex 32` prints one), the same "
                "on all machines, or use what everybody can write there with "
                "FRAMEKEEP_SHARED_CACHE_ALLOW_UNSIGNED=true"
            )

    def __post_init__(self) -> None:
        if self.url:
            try:
                check_location(self.url)
            except ValueError as error:
                raise ValueError(f"url: {error}") from error
