"""The limits, each enforced in one place; they are passed down, and never read from a global."""

from typing import Annotated

from msgspec import Meta, Struct

from proxy.formats import FormatName

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits on originals, results and the time to make them."""

    max_url_bytes: Annotated[
        int,
        Meta(
            ge=256,
            le=65536,
            description=(
                "Bytes of the longest path with its query. Longer links are answered with 400."
            ),
        ),
    ] = 8192

    max_operations: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Operations in one link or request. More are answered with 400.",
        ),
    ] = 30

    max_source_bytes: Annotated[
        Count,
        Meta(
            description=(
                "Bytes of the largest original. Larger originals are answered with 413, as soon as "
                "they are known to be too large."
            )
        ),
    ] = 50 * 1024 * 1024

    max_redirects: Annotated[
        int,
        Meta(
            ge=0,
            le=20,
            description=(
                "Redirects of a source that are followed. After one more, the request is answered "
                "with 502."
            ),
        ),
    ] = 5

    fetch_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds to fetch an original, redirects and retries included. After "
                "it, the request is answered with 504."
            )
        ),
    ] = 10.0

    max_source_dimension: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Pixels of the longest side of an original. Larger originals are answered with 422."
            ),
        ),
    ] = 65_535

    max_source_pixels: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of one frame of an original that is decoded row by row: JPEG, PNG, TIFF. "
                "Larger originals are answered with 422. The default is 16,000 x 16,000."
            )
        ),
    ] = 256_000_000

    max_source_pixels_unstreamed: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of one frame of an original that is held in memory as a whole: by its "
                "decoder (all other formats, progressive JPEG, interlaced PNG, TIFF in one piece), "
                "or for an operation that needs all pixels at once, such as `rotate`. Larger "
                "originals are answered with 422."
            )
        ),
    ] = 50_000_000

    max_source_pixels_per_byte: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of one frame for each byte of the file, where the frame has more pixels "
                "than an original may have that is held in memory as a whole. More are a "
                "decompression bomb and answered with 422."
            )
        ),
    ] = 100

    max_source_pixels_all_frames: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of all frames of an animation together. Larger originals are answered with "
                "422."
            )
        ),
    ] = 100_000_000

    max_frames: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Frames of an original that are read. More are answered with 422.",
        ),
    ] = 200

    max_jpeg_scans: Annotated[
        Count, Meta(description="Scans of a progressive JPEG. More are answered with 422.")
    ] = 100

    max_jpeg_scan_pixels: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of a progressive JPEG times its scans, which is what decoding it costs. "
                "More are answered with 422."
            )
        ),
    ] = 1_000_000_000

    allow_source_formats: Annotated[
        tuple[FormatName, ...],
        Meta(
            description=(
                "Formats of originals. Other formats are answered with 415. An SVG is drawn "
                "without network, files and scripts."
            )
        ),
    ] = (
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
        "svg",
    )

    max_result_dimension: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description=(
                "Pixels of the longest side of a result. Larger results are answered with 422."
            ),
        ),
    ] = 32_767

    max_result_pixels: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of all frames of a result together. Larger results are answered with 422."
            )
        ),
    ] = 40_000_000

    max_result_pixels_unstreamed: Annotated[
        Count,
        Meta(
            description=(
                "Pixels of a result whose encoder holds the whole picture in memory several times: "
                "AVIF, HEIF, JPEG XL. Larger results are answered with 422; `convert:auto` takes "
                "another format for them. A frame of an animated AVIF may have half as many. It "
                "goes with FRAMEKEEP_RENDER_MAX_MEMORY_BYTES: AVIF takes 50 bytes a pixel."
            )
        ),
    ] = 25_000_000

    max_result_bytes: Annotated[
        Count,
        Meta(description="Bytes of the largest result. Larger results are answered with 422."),
    ] = 50 * 1024 * 1024

    render_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "CPU time in seconds for one render. When it is used up, the request is answered "
                "with 504. On a busy machine a render takes longer, and this does not end it."
            )
        ),
    ] = 10.0

    render_wall_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds for one render, however little CPU time it gets. After it, the "
                "render process is killed and the request is answered with 504. The request's own "
                "time ends it too."
            )
        ),
    ] = 60.0

    request_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds for one request of a link from its start to its result. A request "
                "that cannot be finished in it is answered with 503 while it waits, with 504 while "
                "it is worked on."
            )
        ),
    ] = 30.0

    api_request_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "The same for one request of an API. Clients of APIs wait longer than browsers do, "
                "and few of them retry."
            )
        ),
    ] = 120.0
