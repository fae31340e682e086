"""What parses a stranger's bytes takes time in proportion to their number.

Each parser is run on repeated fragments of its grammar, in a short input and in one that is eight
times as long. A parser in quadratic time takes 64 times as long for that.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle, product
from time import thread_time
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.exposition import choose_encoder

from proxy.api.azure.common import AzureError, query_params
from proxy.api.http import cors
from proxy.api.http.accept import accepted_formats, preferred_media_type
from proxy.api.http.api_keys import bearer_token
from proxy.api.http.base64 import decode_base64
from proxy.api.http.conditional import byte_range, not_modified
from proxy.api.http.headers import combine_headers
from proxy.api.http.multipart import extract_file
from proxy.api.http.request_body import decode_json
from proxy.api.http.request_id import request_id
from proxy.errors import InvalidOperation, ProxyError
from proxy.links.repair import repaired_paths
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.sources.net.url import parse_url
from proxy.sources.net.via import has_own_via

SHORT, FACTOR = 8000, 8
MAX_GROWTH = 3 * FACTOR
NOISE_SECONDS = 0.002

REGISTRY = OperationRegistry(OPERATIONS)


def parse_header_lines(data: bytes) -> None:
    combine_headers([(b"x", part) for part in data.split(b";")])


def parse_form(data: bytes) -> None:
    """The fragments are in the head of each part."""
    line = data.replace(b"\r", b"").replace(b"\n", b"")[:4000]
    part = b"--x\r\nContent-Disposition: form-data; name=a; " + line + b"\r\n\r\n\r\n"
    extract_file(part * (1 + len(data) // len(part)) + b"--x--\r\n", "multipart/form-data")


def parse_form_body(data: bytes) -> None:
    extract_file(b"--x\r\n" + data + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")


def parse_operation(data: bytes) -> None:
    text = data.decode("latin-1")
    with suppress(InvalidOperation):
        REGISTRY.plan([{"type": "smart_crop", "focus": text}])
    with suppress(InvalidOperation):
        REGISTRY.plan([{"type": "resize", text: 1}])
    REGISTRY.from_args("resize", [(None, text)])


def parse_query(data: bytes) -> None:
    request: Any = SimpleNamespace(scope={"query_string": data})
    query_params(request)


PARSERS: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "Content-Type": (
        lambda data: extract_file(b"--x\r\n", data.decode("latin-1")),
        [b";", b'"', b"\\", b"boundary=", b"a", b" ", b"=", b"*"],
    ),
    "a part's head": (parse_form, [b";", b'"', b"\\", b"filename=", b"a=", b" ", b"%22", b"*"]),
    "a form": (parse_form_body, [b"--x", b"\r\n", b"\r", b"-", b"a: b\r\n", b"\r\n--x\r\n", b"x"]),
    "Accept": (accepted_formats, [b",", b";", b"q=", b"0.", b"image/avif", b" ", b"*/*"]),
    "Accept of the APIs": (
        lambda data: preferred_media_type(data.decode("latin-1"), ("image/png",)),
        [b",", b";", b"q=", b"0.", b"image/png", b" "],
    ),
    "Accept of the metrics": (
        lambda data: choose_encoder(data.decode("latin-1")),
        [b",", b";", b"q=", b"version=", b"application/openmetrics-text", b" "],
    ),
    "If-None-Match": (
        lambda data: not_modified({b"if-none-match": data}, '"x"', ""),
        [b'"', b"W/", b"a", b",", b" ", b"\xff", b"\\"],
    ),
    "If-Modified-Since": (
        lambda data: not_modified({b"if-modified-since": data}, '"x"', "Mon, 1 Jan 2024 0:0:0 GMT"),
        [b"Mon,", b" ", b"9", b":", b"+", b"GMT", b"-", b"(", b"Jan"],
    ),
    "Range": (
        lambda data: byte_range({b"range": data, b"if-range": data}, 9, '"x"', ""),
        [b"bytes=", b"9", b"-", b",", b" ", b'"'],
    ),
    "Via": (lambda data: has_own_via({b"via": data}), [b",", b" ", b"1.1", b"\t", b"(", b"a"]),
    "a preflight's header names": (cors._HEADER_NAMES.fullmatch, [b"a", b" ", b",", b"-", b"aaaa"]),
    "Authorization": (
        lambda data: bearer_token(data.decode("latin-1")), [b"Bearer", b" ", b"\t", b"a"]
    ),
    "X-Request-Id": (lambda data: request_id({b"x-request-id": data}), [b"a", b".", b" "]),
    "header lines": (parse_header_lines, [b"a", b";", b"aaaa"]),
    "a query": (parse_query, [b"a", b"&", b"=", b"%41", b"%", b"+", b";"]),
    "base64": (decode_base64, [b"data:", b";base64,", b"A", b"=", b"-", b"\r\n", b" ", b","]),
    "JSON": (
        lambda data: decode_json(data, object, InvalidOperation),
        [b"[", b"{", b'"a":', b'"', b"\\u0041", b"9", b",", b"1e9", b"]", b"}", b" "],
    ),
    "an operation": (
        parse_operation, [b" - at `$", b"`", b"'", b"a", b"9", b".", b"-", b"\xe9", b","]
    ),
    "a URL": (
        lambda data: parse_url(f"http://{data.decode('latin-1')}"),
        [b"a", b".", b"xn--", b"\xe9", b":", b"/", b"?", b"%41", b"@", b"[", b"1"],
    ),
    "a rewritten link": (
        lambda data: list(repaired_paths(data[:16_000])),
        [b"/http:/", b"%3A", b"%3a", b"%2F", b"/", b":", b"+", b"%20", b"%25", b"a", b"%"],
    ),
}  # fmt: skip


def patterns(atoms: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """A beginning, and what is repeated after it: each atom, and each pair of atoms."""
    fragments = (*atoms, *(first + second for first, second in product(atoms, repeat=2)))
    return zip(cycle((b"", *atoms)), fragments, strict=False)


def cost(parse: Callable[[bytes], object], data: bytes) -> float:
    started = thread_time()
    with suppress(ProxyError, AzureError, ValueError):
        parse(data)
    return thread_time() - started


def grows_too_fast(parse: Callable[[bytes], object], beginning: bytes, fragment: bytes) -> bool:
    """Compare the two sizes; again if it looks bad, as other work of the machine costs time too."""
    short = beginning + fragment * (SHORT // len(fragment))
    long = beginning + fragment * (SHORT * FACTOR // len(fragment))
    costs = [(cost(parse, short), cost(parse, long))]
    while costs[-1][1] > MAX_GROWTH * max(min(costs)[0], NOISE_SECONDS / FACTOR):
        if len(costs) == 5:
            return True
        costs.append((cost(parse, short), cost(parse, long)))
    return False


@pytest.mark.parametrize("name", PARSERS)
def test_twice_the_bytes_take_twice_the_time(name: str) -> None:
    parse, atoms = PARSERS[name]
    slow = [
        (beginning, fragment)
        for beginning, fragment in patterns(atoms)
        if grows_too_fast(parse, beginning, fragment)
    ]
    assert slow == []


def test_a_parser_in_quadratic_time_is_found() -> None:
    def quadratic(data: bytes) -> None:
        for _ in range(len(data) // 32):
            data.count(b"bb")

    assert grows_too_fast(quadratic, b"", b"a")
