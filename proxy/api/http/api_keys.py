"""Keys of the API faces: a list, each of which can be changed alone; any admits."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from proxy.validation import Discreet

Key = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]


class ApiConfig(Discreet, frozen=True, forbid_unknown_fields=True):
    """Who may use the API faces."""

    keys: Annotated[tuple[Key, ...], Meta(extra_json_schema={"writeOnly": True})] = ()
    """Keys of visible ASCII without commas, 256 at most; each opens every API face."""

    max_inflight_upload_bytes: Annotated[int, Meta(ge=1_000_000)] = 134_217_728
    """Most bytes of request bodies that a worker holds at a time; more wait, unread."""

    allow_anonymous: bool = False
    """Whether the API faces are open to everybody. Without this and without keys they are shut."""


class Keys:
    """What is kept are digests: equally long for the comparison, and useless to who reads them."""

    def __init__(self, keys: Sequence[str], *, allow_keyless: bool = False) -> None:
        self._digests = tuple(sha256(key.encode()).digest() for key in keys)
        self._allow_keyless = allow_keyless

    def __repr__(self) -> str:
        return f"Keys({len(self._digests)} keys)"

    def admit(self, key: str | None) -> bool:
        """Whether this is one of the keys; takes the same time whichever it is."""
        if self._allow_keyless:
            return True
        shown = sha256((key or "").encode()).digest()
        good = False
        for digest in self._digests:
            good |= hmac.compare_digest(digest, shown)
        return good


def bearer(authorization: str | None) -> str | None:
    """The key in an ``Authorization: Bearer …`` header, if it is one."""
    scheme, _, key = (authorization or "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None
