import io

import numpy as np
import pictures
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from render_helper import DETECTOR, REGISTRY, render_pixels, render_steps, step

from proxy.errors import OperationNotApplicable
from proxy.formats import FormatName, sniff
from proxy.geometry import Size
from proxy.imaging import encoders
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.headers.strip import strip_metadata
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan

USUAL = EncoderOptions()
NOISE = np.random.default_rng(7).integers(0, 256, (90, 120, 3), np.uint8)


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif", "png", "gif"])
@pytest.mark.parametrize("bound", [900, 2000, 6000, 20_000])
def test_the_file_never_exceeds_its_bound_in_bytes(format: str, bound: int) -> None:
    original = pictures.encode(NOISE)
    fitted = step("compress_to_size", max_file_size_in_bytes=bound)
    result = render_steps(original, fitted, step("convert", format=format))
    assert len(result.body) <= bound
    assert result.size.width / result.size.height == pytest.approx(120 / 90, rel=0.1)


def test_quality_is_lowered_before_the_size() -> None:
    original = pictures.encode(NOISE)
    full = render_steps(original, step("convert", format="jpeg"))
    at_most = len(full.body) // 2
    fitted = render_steps(
        original, step("convert", format="jpeg"), step("compress_to_size", max_file_size=at_most)
    )
    assert fitted.size == full.size
    assert at_most * 0.8 < len(fitted.body) <= at_most


def test_a_file_within_its_bound_is_not_changed() -> None:
    original = pictures.encode(NOISE)
    plain = render_steps(original, step("convert", format="webp"))
    fitted = render_steps(
        original,
        step("convert", format="webp"),
        step("compress_to_size", max_file_size=len(plain.body)),
    )
    assert fitted.body == plain.body


def test_a_bound_below_one_pixel_is_an_error() -> None:
    with pytest.raises(OperationNotApplicable, match="10 bytes"):
        render_steps(pictures.encode(NOISE), step("compress_to_size", max_file_size=10))


@pytest.mark.parametrize("format", ["jpeg", "png", "gif", "webp", "avif"])
def test_an_unmodified_picture_is_never_larger_than_its_original(format: FormatName) -> None:
    extra = {"quality": 30} if format in ("jpeg", "webp", "avif") else {}
    original = pictures.encode(pictures.scene(), format, **extra)
    result = render_steps(original, step("convert", format=format, quality=95))
    assert result.format == format
    assert len(result.body) <= len(original)
    if format in ("jpeg", "webp", "avif"):
        assert (pictures.decode(result.body) == pictures.decode(original)).all()


def test_resizing_to_the_same_size_changes_no_pixel() -> None:
    original = pictures.encode(pictures.scene(), "jpeg", quality=30)
    for fit in ("cover", "fill", "inside", "outside"):
        same = step("resize", width=400, height=300, fit=fit)
        result = render_steps(original, same, step("convert", format="jpeg", quality=95))
        assert (pictures.decode(result.body) == pictures.decode(original)).all()


def test_the_original_is_sent_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x010E] = "Somebody", "somewhere secret"
    photo = Image.fromarray(pictures.scene())
    for format, options in (
        ("JPEG", {"quality": 20, "comment": b"secret words"}),
        ("WEBP", {"quality": 5, "xmp": b"secret packet"}),
    ):
        output = io.BytesIO()
        photo.save(output, format, exif=exif, **options)
        original = output.getvalue() + b"secret tail"
        body = render_steps(original, step("convert", format=format.lower(), quality=100)).body
        assert b"secret" not in body
        assert b"Somebody" not in body
        assert (pictures.decode(body) == pictures.decode(original)).all()


@pytest.mark.parametrize("format", ["jpeg", "png", "gif", "webp"])
def test_a_stripped_file_shows_the_same_picture(format: FormatName) -> None:
    original = pictures.encode(pictures.scene(), format)
    stripped = strip_metadata(original + b"trailing", format)
    assert stripped is not None
    assert b"trailing" not in stripped
    assert (pictures.decode(stripped) == pictures.decode(original)).all()


def test_an_avif_with_metadata_is_not_stripped() -> None:
    plain = pictures.encode(pictures.scene(), "avif")
    assert strip_metadata(plain, "avif") == plain
    exif = Image.Exif()
    exif[0x8298] = "Somebody"
    described = pictures.encode(pictures.scene(), "avif", exif=exif)
    assert b"Somebody" in described
    assert strip_metadata(described, "avif") is None
    assert strip_metadata(plain + b"tail", "avif") is None
    clear = pictures.encode(pictures.translucent_scene(), "avif")
    assert strip_metadata(clear, "avif") == clear


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_a_stripped_animation_keeps_its_frames(format: FormatName) -> None:
    stripped = strip_metadata(
        pictures.encode_animation(pictures.moving_scene(3, 80, 60), format), format
    )
    assert stripped is not None
    assert pictures.frame_count(stripped) == 3


@pytest.mark.parametrize("format", ["jpeg", "png", "gif", "webp", "avif"])
@given(at=st.floats(0, 1), value=st.integers(0, 255), cut=st.floats(0.02, 1))
def test_stripping_a_damaged_file_does_not_fail(
    format: FormatName, at: float, value: int, cut: float
) -> None:
    body = bytearray(pictures.encode(pictures.scene(40, 30), format))
    body[int(at * (len(body) - 1))] = value
    stripped = strip_metadata(bytes(body[: int(len(body) * cut)]), format)
    assert stripped is None or len(stripped) <= len(body)


def test_few_colors_become_a_palette_without_loss() -> None:
    flat = pictures.red_square(200, 160, 30, 30, 80)
    result = render_steps(pictures.encode(flat), step("flop"), step("convert", format="png"))
    with Image.open(io.BytesIO(result.body)) as image:
        assert image.mode == "P"
    assert (pictures.decode(result.body)[:, :, :3] == flat[:, ::-1]).all()


def test_palettes_keep_alpha() -> None:
    rng = np.random.default_rng(3)
    colors = rng.integers(0, 256, (200, 4), np.uint8)
    original = colors[rng.integers(0, 200, (50, 60))]
    result = render_pixels(pictures.encode(original))
    assert (result[:, :, 3] == original[:, :, 3]).all()
    assert (result[original[:, :, 3] > 0] == original[original[:, :, 3] > 0]).all()


def test_gray_pngs_have_one_channel() -> None:
    gray = pictures.gradient(300, 200)[:, :, 0]
    result = render_steps(
        pictures.encode(gray), step("blur", sigma=1), step("convert", format="png")
    )
    with Image.open(io.BytesIO(result.body)) as image:
        assert image.mode == "L"


def test_auto_takes_the_first_accepted_format_that_can_hold_the_picture() -> None:
    plan = REGISTRY.plan([step("convert", format="auto")])
    still = pictures.encode(pictures.scene(80, 60), "jpeg")
    clear = pictures.encode(pictures.translucent_scene(80, 60))
    moving = pictures.encode_animation(pictures.moving_scene(3, 80, 60))

    def chosen_format(original: bytes, *accepted: FormatName) -> str:
        body = render(
            original, plan.with_accepted_formats(accepted), Limits(), detector=DETECTOR
        ).rendition.body
        found = sniff(body[:64])
        assert found is not None
        return found.name

    assert chosen_format(still, "avif", "webp") == "avif"
    assert chosen_format(still, "webp") == "webp"
    assert chosen_format(still) == "jpeg"
    assert chosen_format(clear) == "png"
    assert chosen_format(moving, "avif", "webp") == "webp"
    assert chosen_format(moving, "avif") == "avif"
    assert chosen_format(moving) == "gif"


def test_formats_that_are_not_web_safe_become_jpeg_or_png() -> None:
    assert render_steps(pictures.encode(pictures.scene(), "tiff")).format == "jpeg"
    assert render_steps(pictures.encode(pictures.scene(), "bmp")).format == "jpeg"
    icon = pictures.encode(pictures.translucent_scene(64, 64), "ico", sizes=[(64, 64)])
    assert render_steps(icon).format == "png"


def test_keep_preserves_the_copyright_and_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x013B] = "(c) Ann", "Ann Example"
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 0.0)
    original = pictures.encode(pictures.scene(), "jpeg", exif=exif)
    for format in ("jpeg", "png", "webp", "avif", "heif", "jxl"):
        small = (step("resize", width=50), step("convert", format=format))
        with Image.open(io.BytesIO(render_steps(original, *small).body)) as image:
            assert not image.getexif()
        with Image.open(io.BytesIO(render_steps(original, step("keep"), *small).body)) as image:
            output = image.getexif()
        assert (output[0x8298], output[0x013B]) == ("(c) Ann", "Ann Example")
        assert 0x010F not in output
        assert not output.get_ifd(0x8825)
        with Image.open(
            io.BytesIO(render_steps(original, step("keep"), step("strip"), *small).body)
        ) as image:
            assert not image.getexif()


def test_an_animation_becomes_its_first_frame_in_a_still_format() -> None:
    moving = pictures.encode_animation(pictures.moving_square(3, 80, 60))
    result = render_steps(moving, step("convert", format="jpeg"))
    assert result.size == Size(80, 60)
    assert pictures.frame_count(result.body) == 1


@pytest.mark.parametrize(("before", "after"), [("gif", "webp"), ("webp", "gif"), ("gif", "gif")])
def test_frame_delays_and_loop_count_are_kept(before: str, after: str) -> None:
    moving = pictures.encode_animation(
        pictures.moving_scene(4, 80, 60), before, duration=130, loop=3
    )
    result = render_steps(moving, step("resize", width=40), step("convert", format=after))
    with Image.open(io.BytesIO(result.body)) as image:
        # GIF counts how often it is repeated, WebP how often it is played
        assert image.info["loop"] + (after == "gif") == 3 + (before == "gif")
        for at in range(4):
            image.seek(at)
            image.load()
            assert image.info["duration"] == 130


def test_an_empty_plan_can_be_rendered() -> None:
    original = pictures.encode(pictures.scene(), "jpeg")
    assert render(original, Plan(), Limits(), detector=DETECTOR).rendition.size == Size(400, 300)


@pytest.mark.parametrize("format", ["heif", "jxl"])
def test_optional_codecs_decode_what_they_encoded(format: FormatName) -> None:
    original = pictures.encode(pictures.translucent_scene(64, 48))
    result = render_steps(original, step("convert", format=format, quality=90))
    found = sniff(result.body[:64])
    assert found is not None
    assert found.name == format
    again = render_pixels(result.body).astype(int)
    assert abs(again - render_pixels(original)).mean() < 30
    assert render_steps(result.body).format == "png"


def as_image(body: pictures.Pixels) -> pyvips.Image:
    return pyvips.Image.new_from_array(np.ascontiguousarray(body)).copy(interpretation="srgb")


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 100))
def test_pillow_encodes_the_same_pixels_as_libvips(width: int, height: int, quality: int) -> None:
    body = pictures.scene(width, height)
    opaque, alpha = as_image(body), as_image(pictures.translucent_scene(width, height))
    full_chroma = EncoderOptions(chroma="444")
    jpeg = encoders._encode_jpeg(opaque, height, quality, full_chroma)
    expected = opaque.jpegsave_buffer(Q=quality, optimize_coding=True, subsample_mode="off", keep=0)
    assert len(jpeg) == len(expected) + JFIF
    assert np.array_equal(pictures.decode(jpeg), pictures.decode(expected))
    for image, effort in ((opaque, 2), (alpha, 4)):
        webp = encoders._encode_webp(image, height, quality, USUAL)
        assert webp == image.webpsave_buffer(Q=quality, effort=effort, keep=0)


JFIF = 18  # bytes of a header that libvips does not write


def test_libvips_encodes_what_pillow_cannot() -> None:
    large = as_image(np.zeros((4100, 4000, 3), np.uint8))
    assert len(encoders._encode_jpeg(large, 4100, 80, USUAL)) == len(
        large.jpegsave_buffer(Q=80, optimize_coding=True, keep=0)
    )
    deep = (as_image(NOISE) * 257).cast("ushort").copy(interpretation="rgb16")
    assert encoders._encode_jpeg(deep, 90, 80, USUAL) == deep.jpegsave_buffer(
        Q=80, optimize_coding=True, keep=0
    )
    wide = as_image(np.zeros((2, 20_000, 3), np.uint8))  # more than WebP holds
    with pytest.raises(pyvips.Error):
        encoders._encode_webp(wide, 2, 80, USUAL)
