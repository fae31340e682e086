"""Cache complete responses of recent image URLs in memory: a repeated hit costs little.

Equal bytes of a URL mean equal image requests, so a URL need not be parsed twice; and a response is
sent again as long as it is current. Parsing, the cache lookup and building headers are four fifths
of what a hit costs otherwise (`bench/run --scenario hit`).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import Struct

from proxy.api.http.accept import AcceptedFormats
from proxy.api.http.conditional import not_modified
from proxy.api.http.problems import Headers
from proxy.image_request import ImageRequest
from proxy.service import ImageResult

ResponseKey = tuple[bytes, AcceptedFormats]
"""The raw path of the URL with its query, and the formats that the client accepts."""

_OVERHEAD_BYTES = 4096  # of an entry beside its body: URLs, headers, objects
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ResponseHead(NamedTuple):
    """The headers of a response, also encoded as they are sent."""

    headers: Headers
    encoded: bytes


class CachedResponse(Struct, frozen=True):
    """A response as 200 and as 304, both without ``Age``. ``validated_at`` is in Unix seconds."""

    request: ImageRequest
    result: ImageResult
    is_current: Callable[[], bool]
    full_head: ResponseHead
    not_modified_head: ResponseHead
    validated_at: float

    def response_for(self, headers: Mapping[bytes, bytes]) -> tuple[int, ResponseHead, bytes]:
        """Return status, headers and body for a request with these headers and without a range."""
        if not_modified(headers, self.result.etag, self.result.last_modified):
            return 304, self.not_modified_head, b""
        return 200, self.full_head, self.result.rendition.body

    def age(self, now: float) -> bytes:
        """Return the value of ``Age``; ``now`` is in Unix seconds."""
        return b"%d" % max(0.0, now - self.validated_at)

    @property
    def size(self) -> int:
        return len(self.result.rendition.body) + _OVERHEAD_BYTES


class ResponseCache:
    """Holds at most ``max_bytes``; the least recently used response is evicted first."""

    def __init__(self, max_bytes: int, *, max_response_bytes: int = 512 * 1024) -> None:
        """Larger responses than ``max_response_bytes`` are not cached: it saves them little."""
        self._max_bytes = max_bytes
        self._max_response_bytes = min(max_response_bytes, max_bytes)
        self._responses: OrderedDict[ResponseKey, CachedResponse] = OrderedDict()
        self._bytes = 0

    def get(self, key: ResponseKey) -> CachedResponse | None:
        response = self._responses.get(key)
        if response is not None:
            self._responses.move_to_end(key)
        return response

    def put(self, key: ResponseKey, response: CachedResponse) -> None:
        self.remove(key)
        if response.size > self._max_response_bytes:
            return
        self._responses[key] = response
        self._bytes += response.size
        while self._bytes > self._max_bytes:
            self.remove(next(iter(self._responses)))

    def remove(self, key: ResponseKey) -> None:
        response = self._responses.pop(key, None)
        if response is not None:
            self._bytes -= response.size


def response_head(headers: Headers) -> ResponseHead:
    return ResponseHead(headers, encode_headers(headers))


def encode_headers(headers: Headers) -> bytes:
    """Encode headers as they are sent. Raises ValueError for a value that would end its line."""
    if any(_CONTROL.search(value) for _, value in headers):
        raise ValueError("header value has control characters")
    return b"".join(b"%b: %b\r\n" % header for header in headers)
