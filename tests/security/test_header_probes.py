"""Files that are small, or plain, and expensive to look at: a probe stops at its budget.

It does not run in an HTTP worker, and not twice for the same bytes.
"""

import asyncio
import struct
import zlib
from collections.abc import Callable

import malformed_images as malformed
import pictures
import pytest
from origin_server import OriginServer
from service_fixture import ServiceHarness

from proxy.errors import BrokenImage, DeadlineExceeded, ImageTooLarge
from proxy.imaging.headers import ProbeBudget, probe
from proxy.originals import SourceRef

pytestmark = pytest.mark.anyio

SCENE = pictures.scene(40, 30)
GIF = pictures.encode(SCENE, "gif")
SCREEN = GIF[: 13 + (3 << ((GIF[10] & 7) + 1))]
JPEG = pictures.encode(SCENE, "jpeg")
PNG = pictures.encode(SCENE, "png")
BRAND = malformed.box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n"


def gif_blocks(count: int) -> bytes:
    return SCREEN + b"!\xfe" + b"\x01a" * count + b"\0" + GIF[len(SCREEN) :]


def gif_extensions(count: int) -> bytes:
    return SCREEN + b"!\xfe\0" * count + GIF[len(SCREEN) :]


def gif_frame_data(count: int) -> bytes:
    return SCREEN + b"," + bytes(9) + b"\x02" + b"\x01a" * count + b"\0;"


def jpeg_segments(count: int) -> bytes:
    return JPEG[:2] + b"\xff\xfe\x00\x02" * count + JPEG[2:]


def jpeg_markers(count: int) -> bytes:
    return JPEG[:2] + b"\xff\x01" * count + JPEG[2:]


def png_chunks(count: int) -> bytes:
    return PNG[:33] + malformed.chunk(b"tEXt") * count + PNG[33:]


def webp_chunks(count: int) -> bytes:
    return malformed.riff((b"VP8X", bytes(10)), *[(b"abcd", b"")] * count)


def tiff_entries(count: int) -> bytes:
    return malformed.tiff([*malformed.gray_fields(4, 4), *[(270, 2, 1, 0)] * count])


def tiff_pages(count: int) -> bytes:
    pages = b"".join(
        struct.pack("<H", 0) + struct.pack("<I", 8 + 6 * (number + 1)) for number in range(count)
    )
    return b"II*\0\x08\0\0\0" + pages + struct.pack("<HI", 0, 0)


def avif_boxes(count: int) -> bytes:
    return BRAND + malformed.box(b"free") * count


def jxl_boxes(count: int) -> bytes:
    return JXL + malformed.box(b"free") * count


@pytest.mark.parametrize(
    "build",
    [
        gif_blocks,
        gif_extensions,
        gif_frame_data,
        jpeg_segments,
        jpeg_markers,
        png_chunks,
        webp_chunks,
        tiff_entries,
        tiff_pages,
        avif_boxes,
        jxl_boxes,
    ],
)
def test_every_format_counts_the_parts_of_a_file(build: Callable[[int], bytes]) -> None:
    with pytest.raises(ImageTooLarge, match="more than 1000 parts"):
        probe(build(1001), ProbeBudget(0, max_steps=1000))


def test_an_icon_has_at_most_256_pictures() -> None:
    bitmap = struct.pack("<Iii", 40, 16, 32)

    def icon(count: int) -> bytes:
        entry = struct.pack("<12xI", 6 + 16 * count)
        return struct.pack("<HHH", 0, 1, count) + entry * count + bitmap

    assert probe(icon(256)).width == 16
    with pytest.raises(BrokenImage) as caught:
        probe(icon(257))
    assert caught.value.detail == "257 entries"


def test_an_svg_has_at_most_4_mib() -> None:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'
    assert probe(drawing.ljust(4 * 1024 * 1024)).width == 40
    with pytest.raises(BrokenImage) as caught:
        probe(drawing.ljust(4 * 1024 * 1024 + 1))
    assert caught.value.detail == "more than 4194304 bytes"


def test_megabytes_of_tiny_blocks_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="parts"):
        probe(gif_blocks(2_000_000))


def test_an_ordinary_gif_of_50_megabytes_is_read() -> None:
    blocks = (b"\xff" + bytes(255)) * (50 * 1024 * 1024 // 256)
    header = probe(SCREEN + b"," + GIF[len(SCREEN) + 1 :][:9] + b"\x02" + blocks + b"\0;")
    assert (header.width, header.height) == (40, 30)


def text(name: bytes, data: bytes) -> bytes:
    start = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[name]
    return malformed.chunk(name, start + data)


def with_chunks(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_what_a_damaged_stream_inflated_before_its_damage_counts(name: bytes) -> None:
    stream = zlib.compress(bytes(1_000_000), 9)[:-4] + b"\0\0\0\0"
    assert probe(with_chunks(*[text(name, stream)] * 2)).width == 40
    with pytest.raises(ImageTooLarge, match="compressed texts and profiles"):
        probe(with_chunks(*[text(name, stream)] * 9))


def test_what_came_out_of_a_stream_before_an_early_damage_counts() -> None:
    """Nobody knows how much it was: a decompressor says only that the stream is damaged."""
    stream = zlib.compress(bytes(60_000), 9)[:-4] + b"\0\0\0\0"
    assert probe(with_chunks(*[text(b"zTXt", stream)] * 100)).width == 40
    with pytest.raises(ImageTooLarge, match="compressed texts and profiles"):
        probe(with_chunks(*[text(b"zTXt", stream)] * 130))


def test_streams_that_yield_nothing_count_too() -> None:
    """Each empty block costs a decompressor the time to build its tables."""
    empty = zlib.compressobj(wbits=-15)
    block = empty.compress(b"") + empty.flush(zlib.Z_SYNC_FLUSH)
    stream = b"\x78\x9c" + block * (9_000_000 // len(block))
    with pytest.raises(ImageTooLarge, match="compressed texts and profiles"):
        probe(with_chunks(text(b"zTXt", stream)))


def test_texts_that_are_not_compressed_do_not_count() -> None:
    plain = malformed.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x:xmpmeta/>" * 1000)
    assert probe(with_chunks(*[plain] * 800)).width == 40


async def probe_many(harness: ServiceHarness, url: str, count: int = 5) -> list[object]:
    probes = (harness.service.probe(SourceRef(url)) for _ in range(count))
    return list(await asyncio.gather(*probes, return_exceptions=True))


async def test_a_header_is_read_once_and_not_in_the_worker(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    large = origin.serve("/a.png", with_chunks(malformed.chunk(b"tEXt", bytes(100_000))))
    results = [*await probe_many(harness, large), *await probe_many(harness, large)]
    assert {type(result).__name__ for result in results} == {"ProbeResult"}
    assert harness.pool.run_counts == {"probe": 1}


@pytest.mark.parametrize(
    "body", [gif_blocks(1000), with_chunks(text(b"zTXt", zlib.compress(bytes(200_000))))]
)
async def test_a_small_file_that_takes_long_is_not_read_in_the_worker(
    harness: ServiceHarness, origin: OriginServer, body: bytes
) -> None:
    assert len(body) < 65_536
    await probe_many(harness, origin.serve("/small", body))
    assert harness.pool.run_counts == {"probe": 1}


async def test_a_small_and_simple_file_is_read_in_the_worker(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    await probe_many(harness, origin.serve("/small", PNG))
    assert harness.pool.run_counts == {}


async def test_that_a_header_is_too_expensive_is_remembered_under_every_address(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    for path in ("/a.gif", "/b.gif"):
        results = await probe_many(harness, origin.serve(path, gif_blocks(300_000)))
        assert {type(result) for result in results} == {ImageTooLarge}
    assert harness.pool.run_counts == {"probe": 1}


async def test_that_a_header_took_too_long_is_remembered(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    async def stop() -> None:
        raise DeadlineExceeded("render deadline exceeded")

    harness.pool.on_run = stop
    url = origin.serve("/a.gif", gif_blocks(100_000))
    results = [*await probe_many(harness, url), *await probe_many(harness, url)]
    assert {type(result) for result in results} == {DeadlineExceeded}
    assert harness.pool.run_counts == {"probe": 1}
