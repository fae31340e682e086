"""`keep:hdr` keeps the HDR gain map of a JPEG; without it nothing of a gain map is left."""

import io
from typing import Any

import gain_maps
import numpy as np
import pictures
import pytest
import pyvips
from operations.examples import CASES, EXAMPLES
from PIL import Image
from render_helper import DETECTOR, REGISTRY, render_steps, step

from proxy.errors import BrokenImage, ImageTooLarge, OperationNotApplicable
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.gain_map import GainMap
from proxy.imaging.picture import OutputOptions, Picture
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations.gain_map import apply_with_gain_map, check_gain_map_is_kept
from proxy.operations.operation import Operation
from proxy.operations.pipeline import render
from proxy.smartcrop.subject import Subject

HDR = gain_maps.ultra_hdr()
KEEP = step("keep", metadata="hdr")
TRACES = (b"MPF", b"hdrgm", b"21496", b"GContainer", b"Container:Directory")


def two_pictures(body: bytes) -> list[tuple[int, int]]:
    """The sizes of both pictures, found by the index of the file."""
    with Image.open(io.BytesIO(body)) as image:
        assert image.format == "MPO"
        sizes = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            sizes.append(image.size)
        return sizes


def test_the_light_stays_through_resize() -> None:
    result = render_steps(HDR, KEEP, step("resize", width=200))
    assert (result.format, result.size) == ("jpeg", Size(200, 150))
    assert two_pictures(result.body) == [(200, 150), (100, 75)]
    before, after = gain_maps.shown_light(HDR)[::2, ::2], gain_maps.shown_light(result.body)
    assert np.abs(after - before).mean() < 0.06
    assert np.abs(after[60, 150] - before[60, 150]).max() < 0.3  # in the middle of the lamp
    assert after[60, 150].min() > 2.5


def test_the_gain_map_is_cut_as_its_picture() -> None:
    crop = step("crop", left_in_px=220, top_in_px=80, width_in_px=60, height_in_px=90)
    result = render_steps(HDR, crop, KEEP)
    assert two_pictures(result.body) == [(60, 90), (30, 45)]
    before, after = gain_maps.shown_light(HDR)[80:170, 220:280], gain_maps.shown_light(result.body)
    assert np.abs(after - before).mean() < 0.12
    assert after[45, 50].min() > 2.5
    assert after[45, 10].max() < 1


def test_the_subject_is_that_of_the_picture() -> None:
    """The red square is found in the picture; the gain map is bright elsewhere."""
    base = pictures.red_square(160, 80, 120, 30, 24)
    gains = np.zeros((80, 160), np.uint8)
    gains[:, :40] = 255
    original = gain_maps.with_gain_map(base, gains)
    result = render_steps(original, KEEP, step("smart_crop", width=60, height=80))
    kept = gain_maps.gain_map(result.body)
    assert kept is not None
    assert kept.max() < 20
    assert (pictures.decode(result.body)[:, :, 0] > 180).sum() > 300


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_gain_map_is_turned_as_its_picture(orientation: int) -> None:
    original = gain_maps.ultra_hdr(orientation=orientation)
    result = render_steps(original, KEEP)
    turns = {3: 2, 6: 3, 8: 1}[orientation]
    before = np.rot90(gain_maps.shown_light(original), turns)
    after = gain_maps.shown_light(result.body)
    assert after.shape == before.shape
    assert np.abs(after - before).mean() < 0.06


def test_a_gain_map_in_color_stays_in_color() -> None:
    gains = np.zeros((60, 80, 3), np.uint8)
    gains[:, 40:, 0] = 255
    original = gain_maps.with_gain_map(pictures.plain(160, 120), gains)
    result = render_steps(original, KEEP, step("flop"))
    kept = gain_maps.gain_map(result.body)
    assert kept is not None
    assert kept.shape == (60, 80, 3)
    assert kept[30, 10, 0] > 240
    assert kept[30, 70].max() < 15


def gray(pixels: pictures.Pixels) -> pyvips.Image:
    return pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")


MOVING = [
    (name, case)
    for name, case in CASES
    if (operation := REGISTRY.plan([step(name, **EXAMPLES[name][case])]).operations[0])
    if operation.changes_pixels and operation.only_moves_pixels()
]


@pytest.mark.parametrize(("name", "case"), MOVING)
def test_what_moves_pixels_moves_those_of_the_gain_map_alike(name: str, case: str) -> None:
    """Here the gain map is the picture itself, so the two stay equal."""
    operation: Operation = REGISTRY.plan([step(name, **EXAMPLES[name][case])]).operations[0]
    image = gray(pictures.scene(160, 120))
    picture = Picture(
        image,
        Size(160, 120),
        OutputOptions("jpeg"),
        DETECTOR,
        subject=Subject(),
        gain_map=GainMap(image, 1.0, is_gray=False, fields={}),
    )
    result = apply_with_gain_map(operation, picture, Limits())
    assert result.gain_map is not None
    assert np.array_equal(result.gain_map.image.numpy(), result.image.numpy())


def test_many_operations_only_move_pixels() -> None:
    names = {name for name, _ in MOVING}
    assert names >= {"resize", "crop", "smart_crop", "rotate", "flip", "flop", "thumbnail"}


@pytest.mark.parametrize(
    "steps",
    [
        [step("blur", sigma=3)],
        [step("rotate", angle_in_degrees=10)],
        [step("resize", width=100, height=100, fit="contain")],
        [step("extend", top=9, right=9, bottom=9, left=9)],
        [step("convert", format="webp")],
        [step("convert", format="avif")],
        [step("convert", format="png")],
        [step("convert", format="auto", lossless=True)],
    ],
)
@pytest.mark.parametrize("original", [HDR, pictures.encode(pictures.scene(), "jpeg")])
def test_what_the_gain_map_does_not_fit_is_an_error(
    original: bytes, steps: list[dict[str, Any]]
) -> None:
    with pytest.raises(OperationNotApplicable, match="keep: hdr"):
        render_steps(original, KEEP, *steps)
    assert render_steps(original, KEEP, *steps, step("strip")).body


def auto(original: bytes, *accepted: FormatName, keeps: bool = True) -> Rendition:
    steps = [step("resize", width=100), step("convert", format="auto"), *([KEEP] * keeps)]
    plan = REGISTRY.plan(steps).with_accepted_formats(accepted)
    return render(original, plan, Limits(), detector=DETECTOR).rendition


def test_auto_takes_jpeg_for_a_picture_with_a_gain_map_only() -> None:
    assert auto(HDR, "avif", "webp").format == "jpeg"
    assert len(two_pictures(auto(HDR, "avif", "webp").body)) == 2
    assert auto(HDR, "avif", "webp", keeps=False).format == "avif"
    plain = pictures.encode(pictures.scene(), "jpeg")
    assert auto(plain, "avif", "webp") == auto(plain, "avif", "webp", keeps=False)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "gif", "auto"])
@pytest.mark.parametrize("steps", [[], [step("resize", width=90)], [step("keep")]])
def test_without_it_nothing_of_the_gain_map_is_left(
    format: str, steps: list[dict[str, Any]]
) -> None:
    for chosen in ([], [step("convert", format=format)]):
        body = render_steps(HDR, *steps, *chosen).body
        assert not any(trace in body for trace in TRACES)
        with Image.open(io.BytesIO(body)) as image:
            assert getattr(image, "n_frames", 1) == 1


def test_options_of_jpeg_and_the_copyright_hold_beside_it() -> None:
    exif = Image.Exif()
    exif[0x8298] = "Ada Lovelace"
    copyright = exif.tobytes()
    segment = b"\xff\xe1" + (len(copyright) + 2).to_bytes(2, "big") + copyright
    original = HDR[:2] + segment + HDR[2:]
    plain = step("convert", format="jpeg", progressive=True, chroma_subsampling="444")
    result = render_steps(original, KEEP, step("keep"), plain)
    assert two_pictures(result.body) == [(400, 300), (200, 150)]
    with Image.open(io.BytesIO(result.body)) as image:
        assert image.getexif()[0x8298] == "Ada Lovelace"
        assert image.info["progressive"]


def test_a_file_with_a_gain_map_fits_into_a_number_of_bytes() -> None:
    full = render_steps(HDR, KEEP)
    bound = len(full.body) * 2 // 3
    small = render_steps(HDR, KEEP, step("compress_to_size", max_file_size_in_bytes=bound))
    assert len(small.body) <= bound
    assert len(two_pictures(small.body)) == 2


def test_a_gain_map_is_bounded_as_any_picture() -> None:
    huge = gain_maps.with_gain_map(pictures.plain(8, 8), np.zeros((60, 80), np.uint8))
    with pytest.raises(BrokenImage, match="larger than its picture"):
        render_steps(huge, KEEP)
    assert render_steps(huge).size == Size(8, 8)
    with pytest.raises(ImageTooLarge, match="UNSTREAMED"):
        render_steps(HDR, KEEP, limits=Limits(max_source_pixels_unstreamed=200 * 150 - 1))


@pytest.mark.parametrize("lost", [1, 400, 1500])
def test_a_truncated_gain_map_never_harms_the_picture(lost: int) -> None:
    assert render_steps(HDR[:-lost]).size == Size(400, 300)
    try:
        result = render_steps(HDR[:-lost], KEEP)
    except BrokenImage:
        return
    assert result.size == Size(400, 300)


def test_the_look_is_found_for_the_picture_alone() -> None:
    result = render_steps(HDR, KEEP, step("convert", format="jpeg", quality="eco"))
    assert len(two_pictures(result.body)) == 2


def test_the_last_word_counts() -> None:
    assert not REGISTRY.plan([KEEP, step("strip")]).keeps_hdr
    assert REGISTRY.plan([step("strip"), KEEP, step("keep")]).keeps_hdr
    check_gain_map_is_kept(REGISTRY.plan([KEEP, step("blur", sigma=2), step("strip")]))
