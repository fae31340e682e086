"""What is fuzzed: each target takes any bytes, and whatever it raises is a fault.

Targets import what they fuzz when they are made, so that it can be instrumented.
"""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

Target = Callable[[bytes], object]


def probe_target() -> Target:
    from proxy.errors import ProxyError
    from proxy.imaging.headers import probe

    def fuzz(data: bytes) -> None:
        with suppress(ProxyError):
            probe(data)

    return fuzz


def links_target() -> Target:
    """All dialects, the native one at the root and each other one at its name."""
    from proxy.app import open_dialects
    from proxy.config import load
    from proxy.errors import ProxyError
    from proxy.links import DIALECTS

    others = [name for name in DIALECTS if name != "native"]
    environment = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_LINKS_MOUNTS": json.dumps({"": "native"} | {name: name for name in others}),
    }
    environment |= {
        f"FRAMEKEEP_{name.upper()}_ALLOW_UNSIGNED": "true" for name in others if name != "ipx"
    }
    environment["FRAMEKEEP_IPX_ALLOW_SOURCES"] = "https://a.example/"
    environment["FRAMEKEEP_IPX_MAX_RENDITIONS"] = "0"
    links = open_dialects(load(environment).settings)

    def fuzz(data: bytes) -> None:
        with suppress(ProxyError):
            links.parse(b"/" + data)

    return fuzz


def urls_target() -> Target:
    from proxy.errors import ProxyError
    from proxy.sources.net.url import parse_url

    def fuzz(data: bytes) -> None:
        with suppress(ProxyError):
            parse_url(data.decode("latin-1"))

    return fuzz


def multipart_target() -> Target:
    """The first line is the content type, the rest is the body."""
    from proxy.api.http.multipart import extract_file
    from proxy.errors import ProxyError

    def fuzz(data: bytes) -> None:
        content_type, _, body = data.partition(b"\n")
        with suppress(ProxyError):
            extract_file(body, content_type.decode("latin-1"))

    return fuzz


def headers_target() -> Target:
    """Headers of requests, and those of origins."""
    from proxy.api.http.accept import accepted_formats, preferred_media_type
    from proxy.api.http.conditional import byte_range, not_modified
    from proxy.sources.cache_headers import parse_cache_headers

    now = datetime(2026, 1, 1, tzinfo=UTC)
    modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    names = (b"range", b"if-range", b"if-none-match", b"if-modified-since")

    def fuzz(data: bytes) -> None:
        text = data.decode("latin-1")
        fields = dict.fromkeys(names, data)
        accepted_formats(data)
        preferred_media_type(text, ("image/jpeg", "image/webp"))
        not_modified(fields, '"tag"', modified)
        byte_range(fields, 1000, '"tag"', modified)
        parse_cache_headers(lambda _: text, now)

    return fuzz


def json_target() -> Target:
    """Bodies of the transform API."""
    from proxy.api.http.source_policy import ApiSourcePolicy
    from proxy.api.transform.request import TransformRequestParser
    from proxy.errors import ProxyError
    from proxy.operations import OPERATIONS
    from proxy.operations.registry import OperationRegistry

    parser = TransformRequestParser(
        OperationRegistry(OPERATIONS),
        max_file_bytes=1_000_000,
        source_policy=ApiSourcePolicy((), allow_http=True),
        webhook_allow_http=True,
    )

    def fuzz(data: bytes) -> None:
        with suppress(ProxyError):
            parser.parse(data)

    return fuzz


def ipc_target() -> Target:
    """Messages to render processes, and what comes back from them."""
    import msgspec

    from proxy.compat.msgspec import DECODE_ERRORS
    from proxy.render import tasks
    from proxy.render.ipc import TaskMessage, TaskType, decode_error, receive_task

    results = [kind.result for kind in vars(tasks).values() if isinstance(kind, TaskType)]

    def fuzz(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            ours.setblocking(False)
            with suppress(OSError, *DECODE_ERRORS):
                receive_task(ours, timeout_seconds=5)
        with suppress(*DECODE_ERRORS):
            msgspec.msgpack.decode(data, type=TaskMessage)
        with suppress(*DECODE_ERRORS, TypeError, ValueError):
            decode_error(data)
        for result in results:
            with suppress(*DECODE_ERRORS):
                msgspec.msgpack.decode(data, type=result)

    return fuzz


def entries_target() -> Target:
    """Stored entries, also behind their digests, which keep most random bytes from the rest."""
    import msgspec

    from proxy.cache import entries
    from proxy.cache.envelope import CorruptEntry, Envelope
    from proxy.cache.store import Entry
    from proxy.compat.msgspec import DECODE_ERRORS

    def fuzz(data: bytes) -> None:
        with suppress(CorruptEntry):
            Envelope.decode(data, "rendition", "key")
        with suppress(*DECODE_ERRORS):
            msgspec.msgpack.decode(data, type=Envelope)
        entry = Entry(data, data, (), 0.0)
        entries.decode_rendition(entry)
        entries.decode_original(entry)
        entries.decode_record(entry)
        entries.decode_detection(entry)

    return fuzz


TARGETS: dict[str, Callable[[], Target]] = {
    "probe": probe_target,
    "links": links_target,
    "urls": urls_target,
    "multipart": multipart_target,
    "headers": headers_target,
    "json": json_target,
    "ipc": ipc_target,
    "entries": entries_target,
}
