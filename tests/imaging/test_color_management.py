"""Colors of every kind of input, compared with LittleCMS (through Pillow)."""

import io
from typing import Any

import numpy as np
import pictures
import pytest
import pyvips
from color_difference import difference, load_profile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from render_helper import render_pixels, render_steps, step

from proxy.imaging.color_management import is_srgb_profile, profile_color_space

PHOTO = pictures.scene(160, 120)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def by_littlecms(image: Image.Image, body: bytes) -> pictures.Pixels:
    source = ImageCms.ImageCmsProfile(io.BytesIO(body))
    intent = ImageCms.Intent.PERCEPTUAL
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    converted = ImageCms.profileToProfile(
        image, source, SRGB, intent, outputMode="RGB", flags=flags
    )
    assert converted is not None
    return np.asarray(converted)


def cmyk(body: pictures.Pixels) -> Image.Image:
    """The picture in CMYK, by the built-in profile of libvips."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(load_profile("cmyk")))
    printed = ImageCms.profileToProfile(Image.fromarray(body), SRGB, target, outputMode="CMYK")
    assert printed is not None
    return printed


def jpeg(image: Image.Image, **options: object) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG", quality=97, subsampling=0, **options)
    return output.getvalue()


def without_adobe_marker(body: bytes) -> bytes:
    """The same JPEG without Adobe's marker: all decoders invert its inks all the same."""
    at = body.index(b"\xff\xee")
    return body[:at] + body[at + 2 + int.from_bytes(body[at + 2 : at + 4], "big") :]


def ycck(image: Image.Image) -> bytes:
    """The same inks as a JPEG of luminance, chroma and black, as Photoshop writes them."""
    inks = np.asarray(image)
    chroma = Image.fromarray(inks[:, :, :3]).convert("YCbCr")
    planes = np.dstack([255 - np.asarray(chroma), inks[:, :, 3]])
    body = jpeg(Image.fromarray(planes, "CMYK"))
    at = body.index(b"Adobe") + 11
    assert body[at] == 0
    return body[:at] + b"\x02" + body[at + 1 :]


PRINTED = cmyk(PHOTO)
REFERENCE = by_littlecms(PRINTED, load_profile("cmyk"))


@pytest.mark.parametrize(
    "original",
    [
        jpeg(PRINTED, icc_profile=load_profile("cmyk")),
        jpeg(PRINTED),
        without_adobe_marker(jpeg(PRINTED)),
        ycck(PRINTED),
        jpeg(PRINTED, progressive=True),
    ],
    ids=["profile", "no profile", "no marker", "ycck", "progressive"],
)
def test_cmyk_is_converted_as_by_littlecms(original: bytes) -> None:
    assert difference(render_pixels(original), REFERENCE) < 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_wide_gamut_profile_is_applied(format: str) -> None:
    output = io.BytesIO()
    Image.fromarray(PHOTO).save(output, format, quality=97, icc_profile=load_profile("p3"))
    expected = by_littlecms(Image.fromarray(PHOTO), load_profile("p3"))
    result = render_pixels(output.getvalue())
    assert difference(result[:, :, :3], expected) < 2
    assert difference(PHOTO, expected) > 2  # what ignoring the profile would give


def test_renditions_have_no_profile() -> None:
    output = io.BytesIO()
    Image.fromarray(PHOTO).save(output, "JPEG", icc_profile=load_profile("p3"))
    for format in ("jpeg", "png", "webp", "avif"):
        body = render_steps(output.getvalue(), step("convert", format=format)).body
        with Image.open(io.BytesIO(body)) as image:
            assert "icc_profile" not in image.info


def test_a_profile_for_other_bands_is_ignored() -> None:
    output = io.BytesIO()
    Image.fromarray(PHOTO).save(output, "PNG", icc_profile=load_profile("cmyk"))
    assert difference(render_pixels(output.getvalue()), PHOTO) < 0.1


def test_sixteen_bit_and_gray_become_8_bit_srgb() -> None:
    assert difference(render_pixels(pictures.png_16_bit(160, 120)), PHOTO) < 0.5
    gray = PHOTO[:, :, 1]
    assert difference(render_pixels(pictures.encode(gray)), np.dstack([gray] * 3)) < 0.1
    for depth in (1, 2, 4):
        steps = np.array([[0, 2**depth - 1] * 8] * 4, np.uint8)
        body = pyvips.Image.new_from_array(steps).pngsave_buffer(bitdepth=depth)
        assert set(np.unique(render_pixels(body))) <= {0, 255}


@pytest.mark.parametrize("name", ["srgb", "p3", "cmyk"])
def test_only_the_srgb_profile_is_recognized_as_srgb(name: str) -> None:
    assert is_srgb_profile(load_profile(name)) == (name == "srgb")


def test_the_srgb_profile_of_littlecms_is_recognized_too() -> None:
    assert is_srgb_profile(SRGB.tobytes())
    assert not is_srgb_profile(b"sRGB" * 100)
    assert not is_srgb_profile(load_profile("srgb")[:200])


@pytest.mark.parametrize(
    "change",
    [
        step("resize", width=37),
        step("rotate", angle=20, hex_color="#f00"),
        step("blur", sigma=3),
        step("pixelate", size=7),
    ],
    ids=lambda change: change["type"],
)
def test_colors_of_invisible_pixels_do_not_bleed_into_visible_ones(
    change: dict[str, Any],
) -> None:
    cut_out = pictures.plain(100, 100, (0, 255, 0, 0))  # bright green, but invisible
    cut_out[20:80, 33:71] = (255, 0, 0, 255)
    result = render_pixels(pictures.encode(cut_out), change)
    seen = result[result[:, :, 3] > 30]
    assert len(seen)
    assert seen[:, 1].max() < 30


def test_transparency_becomes_white_in_jpeg() -> None:
    original = pictures.encode(pictures.plain(16, 16, (255, 0, 0, 0)))
    body = render_steps(original, step("convert", format="jpeg")).body
    assert (pictures.decode(body)[:, :, :3] > 250).all()


VIPS_SRGB: bytes = pyvips.Operation.call("profile_load", "srgb")


@given(st.binary(max_size=600))
def test_random_bytes_are_not_a_profile(body: bytes) -> None:
    assert not is_srgb_profile(body)
    assert len(profile_color_space(body)) <= 8


@given(
    at=st.integers(0, len(VIPS_SRGB) - 1),
    value=st.integers(0, 255),
    length=st.integers(0, len(VIPS_SRGB)),
)
def test_a_damaged_profile_raises_no_error(at: int, value: int, length: int) -> None:
    body = bytearray(VIPS_SRGB)
    body[at] = value
    assert is_srgb_profile(bytes(body[:length])) in (True, False)
