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

from proxy.api.http.accept import AcceptedFormats, Negotiate, accepted_formats
from proxy.api.http.conditional import not_modified
from proxy.api.http.problems import Headers
from proxy.image_request import ChoiceByHints, ImageRequest
from proxy.service import ImageResult

ResponseKey = tuple[bytes, AcceptedFormats, str]
"""The raw path of the URL with its query, the formats that the client accepts, and what its client
hints choose; empty for links that leave them nothing to choose."""

_OVERHEAD_BYTES = 4096  # of an entry beside its body: URLs, headers, objects
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ResponseHead(NamedTuple):
    """The headers of a response, also encoded as they are sent; all but those of one request."""

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
        return b"%d" % int(max(0.0, now - self.validated_at))

    @property
    def size(self) -> int:
        return len(self.result.rendition.body) + _OVERHEAD_BYTES


class ResponseCache:
    """Holds at most ``max_bytes``; the least recently used response is evicted first."""

    def __init__(
        self,
        max_bytes: int,
        *,
        max_response_bytes: int = 512 * 1024,
        negotiate: Negotiate = accepted_formats,
    ) -> None:
        """Larger responses than ``max_response_bytes`` are not cached: it saves them little."""
        self._max_bytes = max_bytes
        self._max_response_bytes = min(max_response_bytes, max_bytes)
        self._negotiate = negotiate
        self._responses: OrderedDict[ResponseKey, CachedResponse] = OrderedDict()
        self._hint_rules: dict[bytes, tuple[ChoiceByHints, int]] = {}
        """How client hints choose, by the path of the link, and how many responses it has."""
        self._bytes = 0

    def key_of(
        self, target: bytes, headers: Mapping[bytes, bytes], choice: str | None = None
    ) -> ResponseKey:
        """The key of the response to a request; ``headers`` by names in lower case.

        ``choice`` is what client hints chose. Without it, a link of which no response is cached has
        the key of one that leaves nothing to them.
        """
        if choice is None:
            found = self._hint_rules.get(target) if self._hint_rules else None
            choice = found[0].choose(headers) if found is not None else ""
        return target, self._negotiate(headers.get(b"accept", b"")), choice

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
        rule = response.request.response_options.hint_rule
        if rule is not None:
            _, count = self._hint_rules.get(key[0], (rule, 0))
            self._hint_rules[key[0]] = rule, count + 1
        while self._bytes > self._max_bytes:
            self.remove(next(iter(self._responses)))

    def remove(self, key: ResponseKey) -> None:
        response = self._responses.pop(key, None)
        if response is None:
            return
        self._bytes -= response.size
        if key[0] in self._hint_rules:
            rule, count = self._hint_rules.pop(key[0])
            if count > 1:
                self._hint_rules[key[0]] = rule, count - 1


def response_head(headers: Headers) -> ResponseHead:
    return ResponseHead(headers, encode_headers(headers))


def encode_headers(headers: Headers) -> bytes:
    """Encode headers as they are sent. Raises ValueError for a value that would end its line."""
    if any(_CONTROL.search(value) for _, value in headers):
        raise ValueError("header value has control characters")
    return b"".join(b"%b: %b\r\n" % header for header in headers)
