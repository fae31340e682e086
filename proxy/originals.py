"""What a rendition is made of: where an original lies, and its bytes once they are here."""

import hashlib
from functools import cached_property

from msgspec import Struct, field

from proxy.buffers import SharedBuffer


class SourceRef(Struct, frozen=True, dict=True):
    """Where an original lies.

    ``text`` is an ``http(s)://`` URL, verbatim, or ``NAME:path`` for a source that the operator
    configured; that path is percent-decoded and has no slash in front. ``version`` is the link word
    ``v``: another version is another original. ``headers`` are sent along to an ``http(s)://`` URL,
    as `headers.sendable` made them (never on to another host); ``seconds`` is a shorter deadline
    than the limits'. Both are part of what is asked for, and so of the key.
    """

    text: str
    version: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float | None = None

    @property
    def scheme(self) -> str:
        """What stands before the first colon: it says which source to ask."""
        return self.text.partition(":")[0]

    @cached_property
    def key(self) -> str:
        extra = [part.encode() for header in self.headers for part in header]
        if self.timeout_seconds is not None:
            extra.append(str(float(self.timeout_seconds)).encode())
        return digest(b"address", self.text.encode(), self.version.encode(), *extra)


class Upload(Struct, frozen=True, dict=True):
    """An original that came with the request itself. Equal bytes are the same original."""

    body: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def scheme(self) -> str:
        return "upload"

    @property
    def key(self) -> str:
        return digest(b"upload", self.digest.encode())


OriginalRef = SourceRef | Upload


class Validators(Struct, frozen=True):
    """What a source said that lets it be asked "has this changed?"; empty where it said nothing."""

    etag: str = ""
    last_modified: str = ""


class OriginMetadata(Struct, frozen=True):
    """What a source said beside the bytes.

    ``lifetime`` is in seconds, None where the source said nothing; ``last_modified`` in the
    validators is the HTTP date as it came; ``tags`` are the source's own purge tags.
    """

    validators: Validators = field(default_factory=Validators)
    ttl: float | None = None
    tags: tuple[str, ...] = ()


class Original(Struct, frozen=True):
    """The bytes as they lie at the source, with their SHA-256 in hexadecimal."""

    body: SharedBuffer
    digest: str
    metadata: OriginMetadata = field(default_factory=OriginMetadata)


class NotModified(Struct, frozen=True):
    """The source says: what you have is still right."""

    metadata: OriginMetadata


def digest(*parts: bytes) -> str:
    """SHA-256 over length-prefixed parts, in hexadecimal: no two lists of parts share a digest."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()
