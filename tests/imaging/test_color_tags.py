"""Colors that a file describes by numbers: nclx, cICP, gAMA, cHRM, HDR, floats and CIELAB."""

import io
import struct
import zlib
from importlib import import_module
from itertools import pairwise

import numpy as np
import pictures
import pytest
from color_difference import difference, load_profile
from hypothesis import given
from hypothesis import strategies as st
from malformed_images import PNG, chunk
from PIL import Image, ImageCms
from render_helper import render_pixels, render_steps, step

from proxy.errors import ImageError
from proxy.imaging.color_management import is_srgb_profile, profile_color_space
from proxy.imaging.headers.color_tags import CodePoints, GammaTags, read_color_tags
from proxy.imaging.optional_codecs import missing_package
from proxy.imaging.rgb_spaces import build_profile

assert not missing_package("heif")

Color = tuple[int, int, int]

BRICK: Color = (200, 80, 60)
BRICK_FROM_P3: Color = (216, 69, 50)  # by the matrices of CSS Color 4
BRICK_FROM_BT2020: Color = (244, 37, 50)


def png(*chunks: bytes, color: tuple[int, ...] = BRICK, depth: int = 8) -> bytes:
    """A PNG of one color: gray, gray with alpha, RGB or RGBA by the number of bands."""
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[len(color)]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, depth, color_type, 0, 0, 0))
    row = b"\0" + np.array([color] * 16, ">u2" if depth == 16 else "u1").tobytes()
    data = chunk(b"IDAT", zlib.compress(row * 16))
    return b"".join((PNG, head, *chunks, data, chunk(b"IEND", b"")))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, 0, 1)))


def gama(exponent: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * exponent)))


P3_PRIMARIES = chunk(
    b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
)
P3_PROFILE = chunk(b"iCCP", b"P3\0\0" + zlib.compress(load_profile("p3")))
SRGB = chunk(b"sRGB", b"\0")


def shown(original: bytes) -> list[int]:
    """The color in the middle."""
    found: list[int] = render_pixels(original)[8, 8, :3].astype(int).tolist()
    return found


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([cicp(12, 13)], BRICK_FROM_P3),
        ([cicp(9, 13)], BRICK_FROM_BT2020),
        ([cicp(9, 14)], BRICK_FROM_BT2020),
        ([cicp(1, 13)], BRICK),
        ([cicp(1, 1)], BRICK),
        ([cicp(2, 2)], BRICK),
        ([cicp(1, 8)], (229, 152, 133)),
        ([P3_PROFILE, cicp(1, 13)], BRICK),
        ([cicp(12, 13), SRGB], BRICK_FROM_P3),
        ([gama(0.45455)], BRICK),
        ([gama(1.0)], (229, 152, 133)),
        ([gama(1.0), SRGB], BRICK),
        ([gama(1.0), P3_PROFILE], BRICK_FROM_P3),
        ([gama(0.45455), P3_PRIMARIES], BRICK_FROM_P3),
        ([P3_PRIMARIES], BRICK_FROM_P3),
        ([gama(0.45455), P3_PRIMARIES, SRGB], BRICK),
    ],
    ids=range(16),
)
def test_the_chunks_of_a_png_describe_its_colors(chunks: list[bytes], expected: Color) -> None:
    assert shown(png(*chunks)) == pytest.approx(expected, abs=2)


def test_gamma_holds_for_gray_and_leaves_alpha() -> None:
    assert shown(png(gama(1.0), color=(100,))) == pytest.approx([168] * 3, abs=1)
    result = render_pixels(png(gama(1.0), color=(100, 77)))[8, 8]
    assert result.tolist() == pytest.approx([168, 168, 168, 77], abs=1)
    hdr = png(cicp(9, 16), color=(*BRICK, 77))
    assert render_pixels(hdr)[8, 8, 3] == 77


def test_the_numbers_are_gone_from_unchanged_pixels_or_still_true() -> None:
    for chunks in ([cicp(12, 13)], [gama(1.0)], [cicp(1, 13), gama(0.45455)]):
        original = png(*chunks)
        body = render_steps(original, step("convert", format="png")).body
        assert b"cICP" not in body
        assert b"gAMA" not in body


def with_nclx(format: str, pixels: pictures.Pixels, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIF that says so."""
    body = bytearray(pictures.encode(pixels, format, quality=100, subsampling="4:4:4"))
    at = body.index(b"nclx")
    body[at + 4 : at + 8] = struct.pack(">HH", primaries, transfer)
    return bytes(body)


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
@pytest.mark.parametrize(("primaries", "expected"), [(12, BRICK_FROM_P3), (1, BRICK)])
def test_the_nclx_of_avif_and_heif_describes_their_colors(
    format: str, primaries: int, expected: Color
) -> None:
    original = with_nclx(format, pictures.plain(64, 64, BRICK), primaries, 13)
    assert shown(original) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
def test_the_profile_of_an_animation_holds_for_all_frames(format: str) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in (BRICK, BRICK[::-1])]
    output = io.BytesIO()
    frames[0].save(
        output, format, save_all=True, append_images=frames[1:], icc_profile=load_profile("p3")
    )
    body = render_steps(output.getvalue(), step("convert", format="gif")).body
    first, second = (frame[8, 8].astype(int).tolist() for frame in pictures.decode_frames(body))
    assert first == pytest.approx(BRICK_FROM_P3, abs=4)
    assert second == pytest.approx((54, 81, 207), abs=4)


def pq(nits: float) -> int:
    """The 16-bit signal (SMPTE ST 2084)."""
    power = (nits / 10_000) ** (2610 / 16384)
    signal: float = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return round(65535 * signal)


def gray_of(light: float) -> float:
    """8-bit sRGB for linear light from 0 to 1."""
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("nits", [0, 1, 5, 20, 60])
def test_dark_and_middle_tones_of_pq_are_shown_as_they_are(nits: float) -> None:
    result = shown(png(cicp(9, 16), color=(pq(nits),) * 3, depth=16))
    assert result == pytest.approx([gray_of(nits / 203)] * 3, abs=1.5)


def test_highlights_are_pressed_below_white_and_stay_apart() -> None:
    levels = [100, 203, 300, 500, 1000]
    tones = [shown(png(cicp(9, 16), color=(pq(nits),) * 3, depth=16)) for nits in levels]
    assert all(max(tone) - min(tone) <= 1 for tone in tones)
    grays = [tone[1] for tone in tones]
    assert all(lower < higher for lower, higher in pairwise(grays))
    assert 220 < grays[1] < 240  # paper is nearly white
    assert grays[-1] == 255
    assert shown(png(cicp(9, 16), color=(pq(4000),) * 3, depth=16)) == [255] * 3


def test_the_brightness_that_a_file_declares_is_used() -> None:
    def tone(max_nits: int) -> int:
        light = chunk(b"cLLI", struct.pack(">II", max_nits * 10_000, 0))
        return shown(png(cicp(9, 16), light, color=(pq(203),) * 3, depth=16))[1]

    assert tone(203) == 255
    assert tone(203) > tone(1000) > tone(4000) > 200


@pytest.mark.parametrize(("signal", "expected"), [(0, 0), (0.5, 137), (0.75, 229), (1, 255)])
def test_hlg_looks_like_pq_of_the_same_light(signal: float, expected: int) -> None:
    result = shown(png(cicp(9, 18), color=(round(65535 * signal),) * 3, depth=16))
    assert result == pytest.approx([expected] * 3, abs=2)


@pytest.mark.parametrize("depth", [8, 16])
def test_gray_hdr_is_shown_like_rgb(depth: int) -> None:
    level = pq(100) if depth == 16 else pq(100) // 257
    expected = shown(png(cicp(9, 16), color=(level,) * 3, depth=depth))
    assert shown(png(cicp(9, 16), color=(level,), depth=depth)) == expected
    opaque = 2**depth - 1
    result = render_pixels(png(cicp(9, 16), color=(level, opaque // 3), depth=depth))[8, 8]
    assert result.tolist() == [*expected, 85]


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_in_8_bits_and_in_avif_and_heif_is_shown_too(transfer: int) -> None:
    level = pq(100) // 257 if transfer == 16 else 166
    expected = shown(png(cicp(9, transfer), color=(level,) * 3))
    for format in ("AVIF", "HEIF"):
        original = with_nclx(format, pictures.plain(64, 64, (level,) * 3), 9, transfer)
        assert shown(original) == pytest.approx(expected, abs=4)


def test_ten_bits_of_a_heif_are_kept_until_its_tones_are_mapped() -> None:
    ramp = np.repeat(np.linspace(0, 0.5, 256)[None], 64, axis=0)
    deep = np.dstack([np.rint(ramp * 65535).astype(np.uint16)] * 3)
    heif = import_module("pillow_heif").from_bytes("RGB;16", (256, 64), deep.tobytes())
    output = io.BytesIO()
    heif.save(
        output, quality=-1, color_primaries=9, transfer_characteristics=16, save_nclx_profile=True
    )
    row = render_pixels(output.getvalue())[30, :, 1].astype(int)
    assert len(set(row.tolist())) > 100


def to_lab(pixels: pictures.Pixels) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    result = ImageCms.profileToProfile(Image.fromarray(pixels), srgb, lab, outputMode="LAB")
    assert result is not None
    return result


def tiff(photometric: int, pixels: "np.ndarray", sample_format: int = 1, extra: int = 0) -> bytes:
    height, width = pixels.shape[:2]
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    entries = [
        (256, 3, width),
        (257, 3, height),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, bands),
        (278, 3, height),
        (279, 4, pixels.nbytes),
    ]
    body = bytearray(b"II*\0\0\0\0\0" + pixels.tobytes())
    lists = {258: 8 * pixels.itemsize, 339: sample_format}
    if extra:
        entries.append((338, 3, extra))
    packed = [
        struct.pack("<HHIHxx", t, k, 1, v) if k == 3 else struct.pack("<HHII", t, k, 1, v)
        for t, k, v in entries
    ]
    for tag, value in lists.items():
        if bands > 2:
            packed.append(struct.pack("<HHII", tag, 3, bands, len(body)))
            body += struct.pack(f"<{bands}H", *[value] * bands)
        else:
            packed.append(struct.pack("<HHIHH", tag, 3, bands, value, value))
    body[4:8] = struct.pack("<I", len(body))
    packed.sort(key=lambda entry: struct.unpack_from("<H", entry))
    return bytes(body) + struct.pack("<H", len(packed)) + b"".join(packed) + bytes(4)


SCENE = pictures.scene(64, 48)
LAB = np.asarray(to_lab(SCENE))  # a and b are signed
OFFSET_LAB = LAB ^ np.array([0, 128, 128], np.uint8)


@pytest.mark.parametrize(
    "original",
    [
        tiff(8, LAB),
        tiff(9, OFFSET_LAB),
        tiff(8, np.dstack([LAB, np.full(LAB.shape[:2], 255, np.uint8)]), extra=2),
        tiff(9, OFFSET_LAB.astype(np.uint16) * 256 + np.array([0, 0, 0], np.uint16)),
        tiff(
            8,
            np.dstack(
                [
                    LAB[..., 0].astype(np.uint16) * 257,
                    LAB[..., 1].astype(np.uint16) * 256,
                    LAB[..., 2].astype(np.uint16) * 256,
                ]
            ),
        ),
    ],
    ids=["8 bits", "with an offset", "with alpha", "16 bits with an offset", "16 bits"],
)
def test_cielab_is_shown_as_by_littlecms(original: bytes) -> None:
    assert difference(np.ascontiguousarray(render_pixels(original)[:, :, :3]), SCENE) < 1.5


LIGHT = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(48, axis=0)
EXPECTED_LIGHT = np.array([[gray_of(light) for light in LIGHT[0].tolist()]] * 48)


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_floats_count_light(bands: int, kind: type) -> None:
    pixels = LIGHT if bands == 1 else np.dstack([LIGHT] * 3)
    if bands == 4:
        pixels = np.dstack([pixels, np.ones_like(LIGHT)])
    original = tiff(1 if bands == 1 else 2, pixels.astype(kind), 3, extra=2 if bands == 4 else 0)
    result = render_pixels(original).astype(int)
    for band in range(3):
        assert np.abs(result[:, :, band] - EXPECTED_LIGHT).max() < 2
    if result.shape[2] == 4:
        assert (result[:, :, 3] == 255).all()


def test_floats_up_to_255_are_8_bit_values() -> None:
    for photometric, pixels in ((2, SCENE), (1, SCENE[:, :, 1])):
        result = render_pixels(tiff(photometric, pixels.astype(np.float32), 3)).astype(int)
        expected = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        assert np.abs(result[:, :, :3] - expected).max() <= 1


def test_32_bits_are_shown_by_their_first_16() -> None:
    for photometric, pixels in ((2, SCENE), (1, SCENE[:, :, 1])):
        result = render_pixels(tiff(photometric, pixels.astype(np.uint32) * 0x01010101))
        expected = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        assert np.abs(result[:, :, :3].astype(int) - expected).max() <= 1


@given(
    st.one_of(
        st.builds(CodePoints, st.integers(0, 255), st.integers(0, 255)),
        st.builds(
            GammaTags,
            st.none() | st.floats(0.01, 10),
            st.none() | st.tuples(*[st.floats(0, 1)] * 8),
        ),
    ),
    st.booleans(),
)
def test_any_numbers_give_a_profile_or_none(tags: CodePoints | GammaTags, is_gray: bool) -> None:
    profile = build_profile(tags, is_gray=is_gray)
    if profile is not None:
        assert profile_color_space(profile) == ("GRAY" if is_gray else "RGB")
        assert len(profile) == int.from_bytes(profile[:4], "big")
        assert not is_srgb_profile(profile)
        ImageCms.ImageCmsProfile(io.BytesIO(profile))


@given(
    st.lists(st.sampled_from([b"gAMA", b"cHRM", b"cICP", b"cLLI"]), max_size=4),
    st.binary(max_size=40),
)
def test_any_bytes_in_the_chunks_give_a_picture_or_an_image_error(
    names: list[bytes], data: bytes
) -> None:
    original = png(*(chunk(name, data) for name in names))
    try:
        assert render_pixels(original).shape[:2] == (16, 16)
    except ImageError:
        return


def test_a_file_without_numbers_has_none() -> None:
    assert read_color_tags(png(), "png") is None
    assert read_color_tags(png(P3_PROFILE, gama(1.0)), "png") is None
    assert read_color_tags(pictures.encode(SCENE, "jpeg"), "jpeg") is None
