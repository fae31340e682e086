import io

import numpy as np
import pictures
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from render_helper import CATALOGUE, EYE, pixels, rendered, step

from proxy.errors import OperationNotApplicable
from proxy.formats import Name, sniff
from proxy.geometry import Size
from proxy.imaging import encoders
from proxy.imaging.headers.strip import bare
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan

NOISE = np.random.default_rng(7).integers(0, 256, (90, 120, 3), np.uint8)


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif", "png", "gif"])
@pytest.mark.parametrize("bound", [900, 2000, 6000, 20_000])
def test_the_bound_in_bytes_is_always_kept(form: str, bound: int) -> None:
    original = pictures.file(NOISE)
    fitted = step("compress_to_size", max_file_size_in_bytes=bound)
    result = rendered(original, fitted, step("convert", format=form))
    assert len(result.body) <= bound
    assert result.size.width / result.size.height == pytest.approx(120 / 90, rel=0.1)


def test_quality_gives_way_before_size() -> None:
    original = pictures.file(NOISE)
    full = rendered(original, step("convert", format="jpeg"))
    at_most = len(full.body) // 2
    fitted = rendered(
        original, step("convert", format="jpeg"), step("compress_to_size", max_file_size=at_most)
    )
    assert fitted.size == full.size
    assert at_most * 0.8 < len(fitted.body) <= at_most


def test_what_fits_already_is_not_touched() -> None:
    original = pictures.file(NOISE)
    plain = rendered(original, step("convert", format="webp"))
    fitted = rendered(
        original,
        step("convert", format="webp"),
        step("compress_to_size", max_file_size=len(plain.body)),
    )
    assert fitted.body == plain.body


def test_a_bound_that_no_file_can_keep_is_refused() -> None:
    with pytest.raises(OperationNotApplicable, match="10 bytes"):
        rendered(pictures.file(NOISE), step("compress_to_size", max_file_size=10))


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "webp", "avif"])
def test_nothing_changed_is_never_larger(form: Name) -> None:
    extra = {"quality": 30} if form in ("jpeg", "webp", "avif") else {}
    original = pictures.file(pictures.scene(), form, **extra)
    result = rendered(original, step("convert", format=form, quality=95))
    assert result.format == form
    assert len(result.body) <= len(original)
    if form in ("jpeg", "webp", "avif"):
        assert (pictures.opened(result.body) == pictures.opened(original)).all()


def test_a_size_that_it_has_already_changes_nothing() -> None:
    original = pictures.file(pictures.scene(), "jpeg", quality=30)
    for fit in ("cover", "fill", "inside", "outside"):
        same = step("resize", width=400, height=300, fit=fit)
        result = rendered(original, same, step("convert", format="jpeg", quality=95))
        assert (pictures.opened(result.body) == pictures.opened(original)).all()


def test_own_bytes_come_without_what_is_not_picture() -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x010E] = "Somebody", "somewhere secret"
    photo = Image.fromarray(pictures.scene())
    for form, options in (
        ("JPEG", {"quality": 20, "comment": b"secret words"}),
        ("WEBP", {"quality": 5, "xmp": b"secret packet"}),
    ):
        kept = io.BytesIO()
        photo.save(kept, form, exif=exif, **options)
        original = kept.getvalue() + b"secret tail"
        body = rendered(original, step("convert", format=form.lower(), quality=100)).body
        assert b"secret" not in body
        assert b"Somebody" not in body
        assert (pictures.opened(body) == pictures.opened(original)).all()


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "webp"])
def test_a_bare_file_shows_the_same_picture(form: Name) -> None:
    original = pictures.file(pictures.scene(), form)
    own = bare(original + b"trailing", form)
    assert own is not None
    assert b"trailing" not in own
    assert (pictures.opened(own) == pictures.opened(original)).all()


def test_an_avif_with_more_in_it_than_its_picture_is_not_sent_as_it_is() -> None:
    plain = pictures.file(pictures.scene(), "avif")
    assert bare(plain, "avif") == plain
    exif = Image.Exif()
    exif[0x8298] = "Somebody"
    described = pictures.file(pictures.scene(), "avif", exif=exif)
    assert b"Somebody" in described
    assert bare(described, "avif") is None
    assert bare(plain + b"tail", "avif") is None
    clear = pictures.file(pictures.see_through(), "avif")
    assert bare(clear, "avif") == clear


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_a_bare_animation_still_moves(form: Name) -> None:
    own = bare(pictures.animation(pictures.drifting(3, 80, 60), form), form)
    assert own is not None
    assert pictures.frame_count(own) == 3


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "webp", "avif"])
@given(at=st.floats(0, 1), value=st.integers(0, 255), cut=st.floats(0.02, 1))
def test_a_damaged_file_is_stripped_or_given_up(
    form: Name, at: float, value: int, cut: float
) -> None:
    body = bytearray(pictures.file(pictures.scene(40, 30), form))
    body[int(at * (len(body) - 1))] = value
    own = bare(bytes(body[: int(len(body) * cut)]), form)
    assert own is None or len(own) <= len(body)


def test_few_colours_become_a_palette_without_loss() -> None:
    flat = pictures.square(200, 160, 30, 30, 80)
    result = rendered(pictures.file(flat), step("flop"), step("convert", format="png"))
    with Image.open(io.BytesIO(result.body)) as image:
        assert image.mode == "P"
    assert (pictures.opened(result.body)[:, :, :3] == flat[:, ::-1]).all()


def test_palettes_keep_every_alpha() -> None:
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (200, 4), np.uint8)
    original = colours[rng.integers(0, 200, (50, 60))]
    result = pixels(pictures.file(original))
    assert (result[:, :, 3] == original[:, :, 3]).all()
    assert (result[original[:, :, 3] > 0] == original[original[:, :, 3] > 0]).all()


def test_greys_take_one_channel() -> None:
    grey = pictures.gradient(300, 200)[:, :, 0]
    result = rendered(pictures.file(grey), step("blur", sigma=1), step("convert", format="png"))
    with Image.open(io.BytesIO(result.body)) as image:
        assert image.mode == "L"


def test_auto_takes_the_first_offer_that_can_hold_the_picture() -> None:
    plan = CATALOGUE.plan([step("convert", format="auto")])
    still = pictures.file(pictures.scene(80, 60), "jpeg")
    clear = pictures.file(pictures.see_through(80, 60))
    moving = pictures.animation(pictures.drifting(3, 80, 60))

    def form(original: bytes, *offer: Name) -> str:
        body = render(original, plan.offered(offer), Limits(), eye=EYE).rendition.body
        found = sniff(body[:64])
        assert found is not None
        return found.name

    assert form(still, "avif", "webp") == "avif"
    assert form(still, "webp") == "webp"
    assert form(still) == "jpeg"
    assert form(clear) == "png"
    assert form(moving, "avif", "webp") == "webp"
    assert form(moving, "avif") == "gif"


def test_formats_that_browsers_do_not_show_become_jpeg_or_png() -> None:
    assert rendered(pictures.file(pictures.scene(), "tiff")).format == "jpeg"
    assert rendered(pictures.file(pictures.scene(), "bmp")).format == "jpeg"
    icon = pictures.file(pictures.see_through(64, 64), "ico", sizes=[(64, 64)])
    assert rendered(icon).format == "png"


def test_the_copyright_is_kept_on_wish_and_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x013B] = "(c) Ann", "Ann Example"
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 0.0)
    original = pictures.file(pictures.scene(), "jpeg", exif=exif)
    for form in ("jpeg", "png", "webp", "avif", "heif", "jxl"):
        small = (step("resize", width=50), step("convert", format=form))
        with Image.open(io.BytesIO(rendered(original, *small).body)) as image:
            assert not image.getexif()
        with Image.open(io.BytesIO(rendered(original, step("keep"), *small).body)) as image:
            kept = image.getexif()
        assert (kept[0x8298], kept[0x013B]) == ("(c) Ann", "Ann Example")
        assert 0x010F not in kept
        assert not kept.get_ifd(0x8825)
        with Image.open(
            io.BytesIO(rendered(original, step("keep"), step("strip"), *small).body)
        ) as image:
            assert not image.getexif()


def test_an_animation_becomes_its_first_frame_where_the_format_is_still() -> None:
    moving = pictures.animation(pictures.frames(3, 80, 60))
    result = rendered(moving, step("convert", format="jpeg"))
    assert result.size == Size(80, 60)
    assert pictures.frame_count(result.body) == 1


@pytest.mark.parametrize(("before", "after"), [("gif", "webp"), ("webp", "gif"), ("gif", "gif")])
def test_timing_survives(before: str, after: str) -> None:
    moving = pictures.animation(pictures.drifting(4, 80, 60), before, duration=130, loop=3)
    result = rendered(moving, step("resize", width=40), step("convert", format=after))
    with Image.open(io.BytesIO(result.body)) as image:
        # GIF counts how often it is played again, WebP how often it is played
        assert image.info["loop"] + (after == "gif") == 3 + (before == "gif")
        for at in range(4):
            image.seek(at)
            image.load()
            assert image.info["duration"] == 130


def test_the_empty_plan_is_a_plan() -> None:
    original = pictures.file(pictures.scene(), "jpeg")
    assert render(original, Plan(), Limits(), eye=EYE).rendition.size == Size(400, 300)


@pytest.mark.parametrize("form", ["heif", "jxl"])
def test_extras_write_and_read_what_they_wrote(form: Name) -> None:
    original = pictures.file(pictures.see_through(64, 48))
    result = rendered(original, step("convert", format=form, quality=90))
    found = sniff(result.body[:64])
    assert found is not None
    assert found.name == form
    again = pixels(result.body).astype(int)
    assert abs(again - pixels(original)).mean() < 30
    assert rendered(result.body).format == "png"


def as_image(body: pictures.Pixels) -> pyvips.Image:
    return pyvips.Image.new_from_array(np.ascontiguousarray(body)).copy(interpretation="srgb")


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 100))
def test_a_still_is_written_as_libvips_writes_it(width: int, height: int, quality: int) -> None:
    body = pictures.scene(width, height)
    opaque, alpha = as_image(body), as_image(pictures.see_through(width, height))
    jpeg = encoders._jpeg(opaque, height, quality, 0)
    expected = opaque.jpegsave_buffer(Q=quality, optimize_coding=True, keep=0)
    assert len(jpeg) == len(expected) + JFIF
    assert np.array_equal(pictures.opened(jpeg), pictures.opened(expected))
    for image, effort in ((opaque, 2), (alpha, 4)):
        webp = encoders._webp(image, height, quality, 0)
        assert webp == image.webpsave_buffer(Q=quality, effort=effort, keep=0)


JFIF = 18  # bytes of a header that libvips leaves out


def test_what_pillow_does_not_write_libvips_writes() -> None:
    large = as_image(np.zeros((4100, 4000, 3), np.uint8))
    assert len(encoders._jpeg(large, 4100, 80, 0)) == len(
        large.jpegsave_buffer(Q=80, optimize_coding=True, keep=0)
    )
    deep = (as_image(NOISE) * 257).cast("ushort").copy(interpretation="rgb16")
    assert encoders._jpeg(deep, 90, 80, 0) == deep.jpegsave_buffer(
        Q=80, optimize_coding=True, keep=0
    )
    wide = as_image(np.zeros((2, 20_000, 3), np.uint8))  # more than WebP holds
    with pytest.raises(pyvips.Error):
        encoders._webp(wide, 2, 80, 0)
