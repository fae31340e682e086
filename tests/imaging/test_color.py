"""Every input's colours, against LittleCMS through Pillow."""

import io
from typing import Any

import numpy as np
import pictures
import pytest
import pyvips
from color_difference import difference, profile
from PIL import Image, ImageCms
from render_helper import pixels, rendered, step

from proxy.imaging import icc

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
    """The picture as it would be printed by libvips' own profile."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile("cmyk")))
    printed = ImageCms.profileToProfile(Image.fromarray(body), SRGB, target, outputMode="CMYK")
    assert printed is not None
    return printed


def jpeg(image: Image.Image, **options: object) -> bytes:
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=97, subsampling=0, **options)
    return kept.getvalue()


def without_adobe(body: bytes) -> bytes:
    """The same JPEG without Adobe's marker: inks are inverted all the same, as everybody does."""
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
REFERENCE = by_littlecms(PRINTED, profile("cmyk"))


@pytest.mark.parametrize(
    "original",
    [
        jpeg(PRINTED, icc_profile=profile("cmyk")),
        jpeg(PRINTED),
        without_adobe(jpeg(PRINTED)),
        ycck(PRINTED),
        jpeg(PRINTED, progressive=True),
    ],
    ids=["profile", "no profile", "no marker", "ycck", "progressive"],
)
def test_print_colours_are_those_of_a_reference(original: bytes) -> None:
    assert difference(pixels(original), REFERENCE) < 2


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_wide_gamut_is_mapped(form: str) -> None:
    kept = io.BytesIO()
    Image.fromarray(PHOTO).save(kept, form, quality=97, icc_profile=profile("p3"))
    expected = by_littlecms(Image.fromarray(PHOTO), profile("p3"))
    result = pixels(kept.getvalue())
    assert difference(result[:, :, :3], expected) < 2
    assert difference(PHOTO, expected) > 2  # what ignoring the profile would give


def test_the_profile_is_gone_afterwards() -> None:
    kept = io.BytesIO()
    Image.fromarray(PHOTO).save(kept, "JPEG", icc_profile=profile("p3"))
    for form in ("jpeg", "png", "webp", "avif"):
        body = rendered(kept.getvalue(), step("convert", format=form)).body
        with Image.open(io.BytesIO(body)) as image:
            assert "icc_profile" not in image.info


def test_a_profile_that_fits_other_pixels_is_not_followed() -> None:
    kept = io.BytesIO()
    Image.fromarray(PHOTO).save(kept, "PNG", icc_profile=profile("cmyk"))
    assert difference(pixels(kept.getvalue()), PHOTO) < 0.1


def test_sixteen_bits_and_greys_become_eight_bit_colours() -> None:
    assert difference(pixels(pictures.sixteen_bit(160, 120)), PHOTO) < 0.5
    grey = PHOTO[:, :, 1]
    assert difference(pixels(pictures.file(grey)), np.dstack([grey] * 3)) < 0.1
    for depth in (1, 2, 4):
        steps = np.array([[0, 2**depth - 1] * 8] * 4, np.uint8)
        body = pyvips.Image.new_from_array(steps).pngsave_buffer(bitdepth=depth)
        assert set(np.unique(pixels(body))) <= {0, 255}


@pytest.mark.parametrize("name", ["srgb", "p3", "cmyk"])
def test_only_srgb_says_srgb(name: str) -> None:
    assert icc.says_srgb(profile(name)) == (name == "srgb")


def test_littlecms_own_srgb_says_so_too() -> None:
    assert icc.says_srgb(SRGB.tobytes())
    assert not icc.says_srgb(b"sRGB" * 100)
    assert not icc.says_srgb(profile("srgb")[:200])


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
def test_what_is_hidden_does_not_shine_through_where_pixels_are_mixed(
    change: dict[str, Any],
) -> None:
    cut_out = pictures.plain(100, 100, (0, 255, 0, 0))  # glaring green that nobody can see
    cut_out[20:80, 33:71] = (255, 0, 0, 255)
    result = pixels(pictures.file(cut_out), change)
    seen = result[result[:, :, 3] > 30]
    assert len(seen)
    assert seen[:, 1].max() < 30


def test_to_jpeg_transparency_becomes_white() -> None:
    original = pictures.file(pictures.plain(16, 16, (255, 0, 0, 0)))
    body = rendered(original, step("convert", format="jpeg")).body
    assert (pictures.opened(body)[:, :, :3] > 250).all()
