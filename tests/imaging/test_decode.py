"""Decoding: every format, every orientation, every limit."""

import io
import random
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pictures
import pytest
import pyvips
from color_difference import difference, load_profile
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image
from render_helper import DETECTOR, REGISTRY, render_pixels, render_steps, step

from proxy.errors import BrokenImage, ImageError, ImageTooLarge, NotAnImage, OperationNotApplicable
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.decode import decode
from proxy.imaging.decoders import DecodeOptions, turbo, vips
from proxy.imaging.headers import probe
from proxy.imaging.optional_codecs import missing_package
from proxy.limits import Limits
from proxy.operations.pipeline import render

SCENE = pictures.scene(160, 120)


def encode_scene(format: str, mode: str = "RGB", **options: Any) -> bytes:
    output = io.BytesIO()
    image = Image.fromarray(SCENE)
    (image.quantize(128) if mode == "P" else image.convert(mode)).save(output, format, **options)
    return output.getvalue()


def encode_png_with_vips(**options: Any) -> bytes:
    image = pyvips.Image.new_from_array(SCENE).copy(interpretation="srgb")
    body: bytes = image.pngsave_buffer(**options)
    return body


def encode_optional(format: FormatName) -> bytes:
    """The scene in a format whose codec is optional."""
    assert not missing_package(format)
    return encode_scene(format.upper(), quality=95)


INPUTS = {
    "jpeg baseline": encode_scene("JPEG", quality=95),
    "jpeg progressive": encode_scene("JPEG", quality=95, progressive=True),
    "jpeg 4:4:4": encode_scene("JPEG", quality=95, subsampling=0),
    "png": encode_scene("PNG"),
    "png interlaced": encode_png_with_vips(interlace=True),
    "png palette": encode_scene("PNG", "P"),
    "png 16 bit": pictures.png_16_bit(160, 120),
    "apng": pictures.encode_animation(pictures.moving_scene(3, 160, 120), "png"),
    "gif": encode_scene("GIF", "P"),
    "gif moving": pictures.encode_animation(pictures.moving_scene(3, 160, 120)),
    "webp": encode_scene("WEBP", quality=95),
    "webp lossless": encode_scene("WEBP", lossless=True),
    "webp moving": pictures.encode_animation(pictures.moving_scene(3, 160, 120), "webp"),
    "avif": encode_scene("AVIF", quality=90),
    "tiff": encode_scene("TIFF"),
    "tiff lzw": encode_scene("TIFF", compression="tiff_lzw"),
    "tiff jpeg": encode_scene("TIFF", compression="jpeg", quality=95),
    "bmp": encode_scene("BMP"),
    "bmp palette": encode_scene("BMP", "P"),
    "heic": encode_optional("heif"),
    "jxl": encode_optional("jxl"),
    "ico": encode_scene("ICO", sizes=[(160, 120)]),
}
"""Files of the same scene."""


@pytest.mark.parametrize("kind", INPUTS)
def test_every_format_decodes_to_the_same_picture(kind: str) -> None:
    result = render_pixels(INPUTS[kind])
    assert result.shape[:2] == (120, 160)
    assert difference(np.ascontiguousarray(result[:, :, :3]), SCENE) < 3


def turned(format: str, orientation: int) -> bytes:
    """A file whose pixels are stored so that its EXIF orientation turns them upright."""
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 3),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    output = io.BytesIO()
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](SCENE)))
    stored.save(output, format, exif=exif, quality=95)
    return output.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(format: str, orientation: int) -> None:
    original = turned(format, orientation)
    assert difference(np.ascontiguousarray(render_pixels(original)[:, :, :3]), SCENE) < 3
    small = render_pixels(original, step("resize", width=40, height=30, fit="fill"))
    upright = render_pixels(INPUTS["png"], step("resize", width=40, height=30, fit="fill"))
    assert difference(np.ascontiguousarray(small[:, :, :3]), upright[:, :, :3].copy()) < 3


def test_orientation_is_applied_however_far_it_is_from_the_start_of_a_jpeg() -> None:
    original = turned("jpeg", 6)
    filler = b"\xff\xef\xff\xff" + bytes(65_533)
    far = original[:2] + 3 * filler + original[2:]
    assert np.array_equal(render_pixels(far), render_pixels(original))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_after_shrink_on_load(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = pictures.encode(pictures.gradient(1601, 1203), "jpeg", exif=exif)
    expected = (60, 80) if orientation < 5 else (106, 80)
    assert render_pixels(large, step("resize", width=80)).shape[:2] == expected


@pytest.mark.parametrize(("width", "height"), [(1601, 1203), (4000, 33), (33, 4000), (17, 9)])
@pytest.mark.parametrize("target", [1, 10, 100])
def test_shrink_on_load_keeps_the_natural_size(width: int, height: int, target: int) -> None:
    original = pictures.encode(pictures.gradient(width, height), "jpeg")
    picture = decode(
        original, Limits(), detector=DETECTOR, required_size=lambda _: Size(target, target)
    )
    assert picture.natural_size == Size(width, height)
    assert picture.frame_size.width >= min(width, target)
    result = render_steps(original, step("resize", width=target, height=target, fit="cover"))
    assert result.size == Size(target, target)


def plain_jpeg(width: int, height: int, mode: str, **options: Any) -> bytes:
    output = io.BytesIO()
    scene = Image.fromarray(pictures.scene(width, height)).convert(mode)
    scene.save(output, "JPEG", **{"quality": 90, **options})
    return output.getvalue()


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 1),
)
def test_decoding_in_memory_gives_the_same_pixels_as_libvips(
    width: int, height: int, shrink: int, mode: str, subsampling: int, progressive: bool, rows: int
) -> None:
    assume(shrink <= min(width, height))
    original = plain_jpeg(
        width,
        height,
        mode,
        subsampling=0 if mode == "CMYK" else subsampling,
        progressive=progressive,
        restart_marker_rows=rows,
    )
    header = probe(original)
    streamed = vips.load_jpeg(original, header, DecodeOptions(shrink=shrink))
    at_once = turbo.decode_in_memory(
        original, vips.load_jpeg(original, header, DecodeOptions()), shrink
    )
    assert at_once is not None
    assert at_once.interpretation == streamed.interpretation
    assert (at_once.width, at_once.height) == (-(-width // shrink), -(-height // shrink))
    # libvips leaves out the last pixels in a row and column where they stand for less.
    at_once = at_once.crop(0, 0, streamed.width, streamed.height)
    assert np.array_equal(at_once.numpy(), streamed.numpy())


def test_decoding_in_memory_keeps_profile_and_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    original = plain_jpeg(40, 30, "RGB", exif=exif, icc_profile=load_profile("p3"))
    at_once = turbo.decode_in_memory(
        original, vips.load_jpeg(original, probe(original), DecodeOptions()), 1
    )
    assert at_once is not None
    assert at_once.get("icc-profile-data") == load_profile("p3")
    assert at_once.get("orientation") == 6


def test_odd_jpegs_are_left_to_libvips() -> None:
    whole = plain_jpeg(160, 120, "RGB", restart_marker_rows=1)
    odd = (
        whole[:-2],
        whole[: len(whole) // 2] + b"\xff\xd9",
        whole.replace(b"\xff\xd3", b"\xff\xd4", 1),
        plain_jpeg(160, 120, "CMYK", subsampling=2),
    )
    for body in odd:
        assert (
            turbo.decode_in_memory(body, vips.load_jpeg(body, probe(body), DecodeOptions()), 1)
            is None
        )


def test_a_jpeg_that_is_too_large_for_memory_is_streamed() -> None:
    large = plain_jpeg(5000, 3300, "L")
    image = vips.load_jpeg(large, probe(large), DecodeOptions())
    assert turbo.decode_in_memory(large, image, 1) is None
    assert turbo.decode_in_memory(large, image, 2) is not None


FRAME = b"\xff\xc0"
LOSSLESS = b"\xff\xc3\0\x0b\x08\x05\x78\x05\x78\1\1\x11\0"


def hidden(before: bytes) -> bytes:
    body = plain_jpeg(160, 120, "RGB")
    return body.replace(FRAME, before + FRAME, 1)


@pytest.mark.parametrize("kind", [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF])
def test_lossless_and_hierarchical_jpegs_are_rejected_by_the_probe(kind: int) -> None:
    with pytest.raises(NotAnImage, match="lossless"):
        probe(plain_jpeg(160, 120, "RGB").replace(FRAME, bytes((0xFF, kind)), 1))


def test_a_jpeg_cannot_hide_a_frame_from_the_probe() -> None:
    with pytest.raises(NotAnImage, match="lossless"):
        probe(hidden(LOSSLESS))
    for before in (b"\xff\0\0\x20" + LOSSLESS.ljust(30, b"\0"), b"\0" + LOSSLESS):
        with pytest.raises(NotAnImage, match="lossless"):
            probe(hidden(before))
    frame = plain_jpeg(160, 120, "RGB").partition(FRAME)[2][:17]
    with pytest.raises(BrokenImage):
        probe(hidden(FRAME + frame))


def test_shrink_on_load_looks_like_resizing_the_full_picture() -> None:
    whole = pictures.scene(1600, 1200)
    by_decoder = render_pixels(
        pictures.encode(whole, "jpeg", quality=97), step("resize", width=100)
    )
    by_scaling = render_pixels(pictures.encode(whole), step("resize", width=100))
    assert difference(by_decoder, by_scaling) < 1


BOUNDS = [
    ({"max_source_dimension": 159}, "jpeg baseline", "159"),
    ({"max_source_pixels": 19_199}, "png", "19199"),
    ({"max_source_pixels_unstreamed": 38_399}, "avif", "19199"),
    *(
        ({"max_source_pixels_unstreamed": 19_199}, kind, "19199")
        for kind in ("png interlaced", "jpeg progressive", "heic", "webp", "gif", "bmp", "ico")
    ),
    ({"max_frames": 2}, "gif moving", "2"),
    ({"max_frames": 2}, "webp moving", "2"),
    ({"max_source_pixels_all_frames": 50_000}, "gif moving", "50000"),
    ({"max_jpeg_scans": 3}, "jpeg progressive", "3"),
    ({"max_jpeg_scan_pixels": 20_000}, "jpeg progressive", "scans"),
    ({"max_result_dimension": 159}, "png", "159"),
    ({"max_result_pixels": 19_199}, "png", "19199"),
    ({"max_result_bytes": 100}, "png", "100"),
]


@pytest.mark.parametrize(("bounds", "kind", "named"), BOUNDS)
def test_each_limit_is_enforced_and_named(bounds: dict[str, int], kind: str, named: str) -> None:
    render_steps(INPUTS[kind])
    with pytest.raises(ImageTooLarge, match=named):
        render_steps(INPUTS[kind], limits=structs.replace(Limits(), **bounds))


def test_a_format_that_is_not_accepted_is_named() -> None:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'
    raster = structs.replace(Limits(), allow_source_formats=("jpeg", "png"))
    with pytest.raises(NotAnImage, match="svg"):
        render_steps(drawing, limits=raster)
    accepted = structs.replace(Limits(), allow_source_formats=("svg",))
    assert render_steps(drawing, limits=accepted).size == Size(40, 30)
    with pytest.raises(NotAnImage, match="jpeg"):
        render_steps(INPUTS["jpeg baseline"], limits=accepted)


@pytest.mark.parametrize(
    "inside",
    [
        '<image href="{file}" width="40" height="30"/>',
        '<style>@import url("{file}");</style>',
        '<script>1</script><rect width="40" height="30" fill="url({file})"/>',
    ],
)
def test_an_svg_cannot_read_files(inside: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(pictures.encode(pictures.plain(40, 30, (255, 0, 0))))
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">{inside}</svg>'
    body = drawing.replace("{file}", secret.as_uri()).encode()
    result = render_pixels(body, limits=structs.replace(Limits(), allow_source_formats=("svg",)))
    assert not (result[:, :, 0] > 200).any() or (result[:, :, 3] == 0).all()


def test_frames_that_are_not_read_do_not_count() -> None:
    few = structs.replace(Limits(), max_frames=1)
    assert render_steps(INPUTS["gif moving"], step("convert", format="jpeg"), limits=few)
    assert render_steps(INPUTS["gif moving"], step("page", number=2), limits=few)


@pytest.mark.parametrize("kind", ["gif moving", "webp moving"])
def test_frames_and_pages_are_counted_from_one(kind: str) -> None:
    drawn = pictures.moving_scene(3, 160, 120)
    second = render_pixels(INPUTS[kind], step("page", number=2))
    assert difference(np.ascontiguousarray(second[:, :, :3]), drawn[1]) < 4
    two = render_steps(INPUTS[kind], step("frames", first=2, last=3))
    assert pictures.frame_count(two.body) == 2
    for beyond in (step("page", number=4), step("frames", first=1, last=4)):
        with pytest.raises(OperationNotApplicable, match="3 frames"):
            render_steps(INPUTS[kind], beyond)


def test_a_page_of_a_document_is_selected() -> None:
    output = io.BytesIO()
    red, blue = pictures.plain(60, 40, pictures.RED), pictures.plain(60, 40, pictures.BLUE)
    first, second = Image.fromarray(red), Image.fromarray(blue)
    first.save(output, "TIFF", save_all=True, append_images=[second])
    assert tuple(render_pixels(output.getvalue())[0, 0, :3]) == pictures.RED
    assert (
        tuple(render_pixels(output.getvalue(), step("page", number=2))[0, 0, :3]) == pictures.BLUE
    )


def test_an_apng_stays_animated_in_an_animated_format() -> None:
    assert (
        pictures.frame_count(render_steps(INPUTS["apng"], step("convert", format="webp")).body) == 3
    )
    assert pictures.frame_count(render_steps(INPUTS["apng"]).body) == 1


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def test_a_decompression_bomb_in_a_chunk_is_rejected() -> None:
    plain = encode_scene("PNG")
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    for part in (chunk(b"iCCP", b"x\0\0" + bomb), chunk(b"zTXt", b"x\0\0" + bomb)):
        with pytest.raises(ImageTooLarge):
            render_steps(plain[:33] + part + plain[33:])


def test_scans_are_counted_before_decoding() -> None:
    body = INPUTS["jpeg progressive"]
    at = body.rindex(b"\xff\xda")
    with pytest.raises(ImageTooLarge, match="100 scans"):
        render_steps(body[:-2] + body[at:-2] * 2000 + b"\xff\xd9")


def test_a_cycle_of_tiff_directories_ends() -> None:
    body = bytearray(encode_scene("TIFF"))
    first = int.from_bytes(body[4:8], "little")
    count = int.from_bytes(body[first : first + 2], "little")
    at = first + 2 + 12 * count
    body[at : at + 4] = first.to_bytes(4, "little")
    assert render_steps(bytes(body)).size == Size(160, 120)


@pytest.mark.parametrize("kind", INPUTS)
def test_damaged_files_decode_or_raise_an_image_error(kind: str) -> None:
    plan = REGISTRY.plan([step("resize", width=20)])
    chance = random.Random(kind)  # noqa: S311 - damage, no secret
    for _ in range(25):
        body = bytearray(INPUTS[kind])
        for _ in range(chance.randint(1, 4)):
            body[chance.randrange(len(body) // (1 + chance.randrange(8)))] = chance.randrange(256)
        if chance.random() < 0.3:
            del body[chance.randrange(len(body)) :]
        with suppress(ImageError):
            assert render(bytes(body), plan, Limits(), detector=DETECTOR).rendition.body


BAD_INPUTS = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev"


@pytest.mark.skipif(not BAD_INPUTS.exists(), reason="the folder of bad inputs is not here")
def test_malformed_files_end_as_expected() -> None:
    lines = (BAD_INPUTS / "manifest.tsv").read_text().splitlines()[1:]
    for name, expected, *_ in (line.split("\t") for line in lines):
        original = (BAD_INPUTS / "files" / name).read_bytes()
        try:
            answer = type(render_steps(original, step("resize", width=50, height=50))).__name__
        except ImageError as error:
            answer = type(error).__name__
        allowed = {
            "decode": {"Rendition"},
            "toolarge": {"ImageTooLarge"},
            "refuse": {"NotAnImage", "BrokenImage", "ImageTooLarge"},
            "bounded": {"Rendition", "NotAnImage", "BrokenImage", "ImageTooLarge"},
        }[expected]
        assert answer in allowed, name


def test_an_opaque_alpha_channel_is_dropped_from_animations() -> None:
    still = np.zeros((60, 80, 4), np.uint8)
    still[:, :, 3] = 255
    frames = [still.copy(), still.copy()]
    frames[1][20:30, 20:30, :3] = 200
    opaque = pictures.encode_animation(
        pictures.moving_scene(3, 80, 60)
    )  # Pillow marks unchanged pixels as transparent
    assert decode(opaque, Limits(), detector=DETECTOR, output_format="webp").image.bands == 3
    frames[1][20:30, 20:30, 3] = 0
    seen_through = pictures.encode_animation(frames, "webp")
    assert decode(seen_through, Limits(), detector=DETECTOR, output_format="webp").image.bands == 4
