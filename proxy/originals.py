"""Originals: references to them, their bytes once fetched, and their source's response headers."""

import hashlib
from functools import cached_property, lru_cache

from msgspec import Struct, field

from proxy.buffers import SharedBuffer


class SourceRef(Struct, frozen=True, dict=True):
    """Where an original lies.

    ``text`` is an ``http(s)://`` URL, verbatim, or ``ALIAS:path`` for a source that the operator
    configured; that path is percent-decoded and has no leading slash. ``version`` is the link
    option ``v``: another version is another original. ``headers`` are sent with the request to an
    ``http(s)://`` URL, in the form of `forwardable_headers`, and never to another host after a
    redirect. ``timeout_seconds`` shortens the fetch timeout of the limits. All of these are part
    of the key.
    """

    text: str
    version: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float | None = None

    @property
    def scheme(self) -> str:
        """The text before the first colon, which picks the source."""
        return self.text.partition(":")[0]

    @property
    def path(self) -> str:
        """The text after the first colon: the path in ``ALIAS:path``."""
        return self.text.partition(":")[2]

    @property
    def host(self) -> str:
        """The host in the URL, or the alias."""
        return source_host(self.text)

    @cached_property
    def key(self) -> str:
        extra = [part.encode() for header in self.headers for part in header]
        if self.timeout_seconds is not None:
            extra.append(str(float(self.timeout_seconds)).encode())
        return digest(b"address", self.text.encode(), self.version.encode(), *extra)


class Upload(Struct, frozen=True, eq=False):
    """An original in the body of the request. Equal bytes are the same original."""

    body: SharedBuffer

    @classmethod
    def from_bytes(cls, data: bytes) -> "Upload":
        return cls(SharedBuffer.from_bytes(data))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Upload) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return self.body.digest

    @property
    def scheme(self) -> str:
        return "upload"

    @property
    def key(self) -> str:
        return digest(b"upload", self.digest.encode())


OriginalRef = SourceRef | Upload


@lru_cache(maxsize=1024)  # cache hits are for the same originals again and again
def source_host(text: str) -> str:
    """The host in the text of a `SourceRef`, or its alias."""
    scheme, _, rest = text.partition(":")
    if not rest.startswith("//"):
        return scheme
    return rest[2:].partition("/")[0].partition("?")[0].rpartition("@")[2]


class Validators(Struct, frozen=True):
    """HTTP validators of an original, for conditional requests; empty where there are none."""

    etag: str = ""
    last_modified: str = ""


class CacheDirectives(Struct, frozen=True):
    """What the ``Cache-Control`` of a source allows, as a shared cache reads it (RFC 9111).

    ``s_maxage`` says that the TTL is for shared caches only; for these and for private results,
    ``max_age`` is the TTL in browsers. All durations are in seconds; None: the source did not say.
    """

    no_store: bool = False
    no_cache: bool = False
    is_private: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    s_maxage: bool = False
    immutable: bool = False
    max_age: float | None = None
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None

    @property
    def allows_storing(self) -> bool:
        return not (self.no_store or self.is_private)

    @property
    def allows_stale(self) -> bool:
        """Whether a shared cache may serve the result after its TTL.

        `s-maxage` forbids it like `proxy-revalidate` (RFC 9111 section 5.2.2.10), unless the source
        says itself for how long.
        """
        if self.no_store or self.no_cache or self.must_revalidate or self.proxy_revalidate:
            return False
        says_how_long = self.stale_while_revalidate is not None or self.stale_if_error is not None
        return says_how_long or not self.s_maxage


class OriginMetadata(Struct, frozen=True):
    """What a source returned about an original in its response headers.

    ``ttl`` is in seconds, None where the source named none; ``last_modified`` in the validators is
    the HTTP date, verbatim; ``tags`` are the source's own cache tags.
    """

    validators: Validators = field(default_factory=Validators)
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    directives: CacheDirectives = field(default_factory=CacheDirectives)

    @property
    def is_silent(self) -> bool:
        """Whether the source says nothing about caching."""
        return self.ttl is None and self.directives == CacheDirectives()


class Original(Struct, frozen=True):
    """The bytes as they lie at the source, with their SHA-256 in hexadecimal."""

    body: SharedBuffer
    digest: str
    metadata: OriginMetadata = field(default_factory=OriginMetadata)


class NotModified(Struct, frozen=True):
    """The source's answer to a conditional request: the cached original is still current."""

    metadata: OriginMetadata


def digest(*parts: bytes) -> str:
    """SHA-256 over length-prefixed parts, in hexadecimal: "ab", "c" and "a", "bc" differ."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()
