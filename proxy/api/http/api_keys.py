"""API keys: any key of a list opens every API, and each can be changed alone."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from proxy.validation import HidesSecrets

ApiKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=r"^[\x21-\x7e]+$",
        title="1 to 256 visible ASCII characters",
    ),
]


class ApiConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """Keys, sources and upload limits of all APIs."""

    keys: Annotated[
        tuple[ApiKey, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Keys for all APIs, 1 to 256 visible ASCII characters each, without commas."
            ),
        ),
    ] = ()

    max_inflight_upload_bytes: Annotated[
        int,
        Meta(
            ge=1_000_000,
            description=(
                "Bytes of request bodies that one worker holds at the same time: the first 16 MiB "
                "in memory, more on the disk of the cache. They count as they arrive. One key, or "
                "one address without a key, holds at most half. Above it, uploads wait until "
                "their deadline."
            ),
        ),
    ] = 2_147_483_648

    allow_aliases: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Source aliases that callers of the APIs may name, for example as `source` of a "
                "`watermark`. Without this setting they can name `http://` and `https://` URLs "
                "only. Links may use every alias."
            )
        ),
    ] = ()

    allow_anonymous: Annotated[
        bool,
        Meta(
            description=(
                "Open the APIs to everybody. When false and without keys, the APIs are closed."
            )
        ),
    ] = False


class ApiKeys:
    """Holds digests of the keys: equally long to compare, and useless to a reader of the memory."""

    def __init__(self, keys: Sequence[str], *, allow_anonymous: bool = False) -> None:
        self._digests = tuple(sha256(key.encode()).digest() for key in keys)
        self._allow_anonymous = allow_anonymous

    def __repr__(self) -> str:
        return f"ApiKeys({len(self._digests)} keys)"

    def client(self, key: str | None, address: str) -> str:
        """Return whose turn a call is in a fair queue: the key's, else the address's."""
        digest = sha256((key or "").encode()).digest()
        return f"key {digest.hex()[:16]}" if digest in self._digests else f"address {address}"

    def verify(self, key: str | None) -> bool:
        """Compare in constant time with every key."""
        if self._allow_anonymous:
            return True
        digest = sha256((key or "").encode()).digest()
        valid = False
        for known in self._digests:
            valid |= hmac.compare_digest(known, digest)
        return valid


def bearer_token(authorization: str | None) -> str | None:
    """Return the token of an ``Authorization: Bearer …`` header."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
