"""Every bound, once, with the name of its one guard.

A value is handed down from the composition root; nothing reads these from a global.
"""

from typing import Annotated

from msgspec import Meta, Struct

from proxy.formats import Name

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken in, how long work may last, and what may come out."""

    max_url_bytes: Annotated[int, Meta(ge=256, le=65536)] = 8192
    """Longest path with its query, in bytes. Guard: dialects, before any parsing."""

    max_operations: Annotated[int, Meta(ge=1, le=100)] = 30
    """Most operations in a plan. Guard: Catalogue."""

    max_source_bytes: Count = 50 * 1024 * 1024
    """Largest original, in bytes. Guard: sources, while streaming; faces, while reading a body."""

    max_redirects: Annotated[int, Meta(ge=0, le=20)] = 5
    """Most redirects that are followed. Guard: sources.http."""

    fetch_timeout_seconds: Seconds = 10.0
    """Longest time to fetch an original, redirects included. Guard: sources."""

    max_source_dimension: Annotated[int, Meta(ge=1, le=1_000_000)] = 65_535
    """Longest side of an original, in pixels. Guard: decode, from the header."""

    max_source_pixels: Count = 50_000_000
    """Most pixels in one frame. Guard: decode, from the header."""

    max_source_pixels_unstreamed: Count = 25_000_000
    """The same where the codec holds the whole frame: AVIF, HEIF, interlaced PNG. Guard: decode."""

    max_source_pixels_all_frames: Count = 100_000_000
    """Most pixels in all frames together. Guard: decode, from the header."""

    max_frames: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """Most frames that are read. Guard: decode, from the header."""

    max_jpeg_scans: Count = 100
    """Most scans of a progressive JPEG. Guard: decode, from the header."""

    max_jpeg_scan_pixels: Count = 1_000_000_000
    """Most pixels that a codec may go over: of all frames, in all scans. Guard: decode."""

    allow_source_formats: tuple[Name, ...] = (
        "jpeg",
        "png",
        "webp",
        "avif",
        "heif",
        "gif",
        "tiff",
        "bmp",
        "ico",
        "jxl",
    )
    """The formats that are taken in; svg is a program more than a picture. Guard: decode."""

    max_result_dimension: Annotated[int, Meta(ge=1, le=65_535)] = 8192
    """Longest side of a result, in pixels. Guard: render, after each operation."""

    max_result_pixels: Count = 40_000_000
    """Most pixels of a result, all frames together. Guard: render, after each operation."""

    max_result_bytes: Count = 50 * 1024 * 1024
    """Largest result, in bytes. Guard: render, after encoding."""

    render_timeout_seconds: Seconds = 10.0
    """Longest time one render may take. Guard: pool, by ending the process."""

    request_timeout_seconds: Seconds = 30.0
    """Longest time one request may take in all. Guard: service."""
