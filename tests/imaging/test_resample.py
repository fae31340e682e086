"""Resampling is exact to the edges: it is what Lanczos of the whole picture says."""

import numpy as np
import numpy.typing as npt
import pictures
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from render_helper import DETECTOR, render_pixels, step

from proxy.geometry import Size
from proxy.imaging.decode import decode, picture_from_pixels
from proxy.imaging.decoders import turbo
from proxy.imaging.picture import Picture
from proxy.imaging.resample import resample
from proxy.imaging.resize import resize
from proxy.imaging.shrink_on_load import LoadScale
from proxy.limits import Limits
from proxy.operations.pipeline import decode_shared

Pixels = npt.NDArray[np.float64]


def lanczos(pixels: Pixels, width: int, height: int) -> Pixels:
    """Reduce by Lanczos-3 from the definition; the pixels at an edge go on beyond it."""
    return _lanczos_rows(_lanczos_rows(pixels, width).transpose(1, 0, 2), height).transpose(1, 0, 2)


def _lanczos_rows(pixels: Pixels, length: int) -> Pixels:
    side = pixels.shape[1]
    factor = side / length
    columns = []
    for index in range(length):
        center = (index + 0.5) * factor - 0.5
        places = np.arange(np.floor(center - 3 * factor), np.ceil(center + 3 * factor) + 1)
        x = (places - center) / factor
        weights = np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        inside = np.clip(places.astype(int), 0, side - 1)
        columns.append(np.tensordot(pixels[:, inside], weights / weights.sum(), ([1], [0])))
    return np.stack(columns, axis=1)


def ramps(width: int, height: int) -> pictures.Pixels:
    """Red increases from edge to edge to the right, green downwards, blue both ways."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.rint(np.dstack([x, y, (x + y) / 2])).astype(np.uint8)


def frame(width: int, height: int, thickness: int) -> pictures.Pixels:
    """A black frame on white."""
    pixels = pictures.plain(width, height, (255, 255, 255))
    pixels[:thickness] = pixels[-thickness:] = 0
    pixels[:, :thickness] = pixels[:, -thickness:] = 0
    return pixels


def tolerance(width: int, height: int) -> float:
    """Two levels, and 3 hundredths of what a pixel of the result differs from the next one."""
    return 2 + 0.03 * 255 / min(width, height)


sides = st.integers(1, 40)
remainders = st.integers(0, 7)


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Size, int, Size]:
    """A natural size, a factor by which the decoder shrinks, and a size that needs no more."""
    factor = draw(st.sampled_from([1, 2, 4, 8]))
    natural = [max(1, draw(sides) * factor - draw(remainders) % factor) for _ in range(2)]
    factor = factor if min(natural) >= factor * 1.25 else 1
    largest = [max(1, int(side / factor / 1.25)) for side in natural]
    width, height = (draw(st.integers(1, side)) for side in largest)
    return Size(*natural), factor, Size(width, height)


@given(reductions())
def test_a_jpeg_is_reduced_as_lanczos_of_the_whole_picture_says(
    reduction: tuple[Size, int, Size],
) -> None:
    natural, _, size = reduction
    drawn = ramps(natural.width, natural.height)
    original = pictures.encode(drawn, "jpeg", quality=100, subsampling=0)
    picture = decode(original, Limits(), detector=DETECTOR, required_size=lambda _: size)
    result = resize(picture, size).image.numpy()
    expected = lanczos(drawn.astype(float), size.width, size.height)
    assert abs(result - expected).max() < tolerance(size.width, size.height)


@given(reductions(), st.booleans(), st.booleans())
def test_an_image_that_was_turned_is_exact_at_the_edges_it_then_has(
    reduction: tuple[Size, int, Size], from_right: bool, from_bottom: bool
) -> None:
    natural, factor, size = reduction
    drawn = ramps(natural.width, natural.height)
    shrunk = pyvips.Image.new_from_array(drawn).shrink(factor, factor, ceil=True)
    shrunk = shrunk.fliphor() if from_right else shrunk
    shrunk = shrunk.flipver() if from_bottom else shrunk
    scale = LoadScale(factor, from_right, from_bottom)
    result = resample(shrunk, size, natural, scale).numpy()
    expected = lanczos(drawn.astype(float), size.width, size.height)
    expected = expected[:, ::-1] if from_right else expected
    expected = expected[::-1] if from_bottom else expected
    assert abs(result - expected).max() < tolerance(size.width, size.height)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1007, 755), (1001, 1001), (1600, 1203)])
@pytest.mark.parametrize(
    "operation",
    [
        step("resize", width=100),
        step("resize", width=97, height=97, fit="fill"),
        step("resize", width=90, height=90, fit="contain", background="transparent"),
        step("resize", width=90, height=90, position="smart"),
        step("smart_crop", width=100, height=100),
    ],
    ids=lambda operation: "-".join(map(str, operation.values())),
)
def test_a_frame_is_as_dark_at_every_edge(
    orientation: int, size: tuple[int, int], operation: dict[str, object]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    original = pictures.encode(frame(*size, 8), "jpeg", quality=95, exif=exif)
    result = render_pixels(original, operation)
    visible = result[(result[:, :, 3:] == 255).any((1, 2))] if result.shape[2] == 4 else result
    dark = 255 - visible[:, :, 0].astype(int)
    middle_row, middle_column = dark[len(dark) // 2], dark[:, dark.shape[1] // 2]
    is_smart = operation["type"] == "smart_crop" or operation.get("position") == "smart"
    is_cropped = is_smart and size[0] != size[1]
    for line in (middle_row, middle_column):
        if not is_cropped or min(line[0], line[-1]) > 20:  # otherwise an edge was cropped
            assert abs(int(line[0]) - int(line[-1])) < 24


def test_pixels_that_several_plans_share_are_exact_at_the_edges() -> None:
    drawn = ramps(1607, 1205)
    original = pictures.encode(drawn, "jpeg", quality=95)
    rows: list[bytes] = []
    decoded = decode_shared(
        original, 4, Limits(), detector=DETECTOR, write=lambda part: rows.append(bytes(part))
    )
    assert decoded.size == Size(402, 302)
    picture = picture_from_pixels(b"".join(rows), decoded, detector=DETECTOR)
    result = resize(picture, Size(100, 75)).image.numpy()
    assert abs(result - lanczos(drawn.astype(float), 100, 75)).max() < 3


def test_a_jpeg_that_libvips_must_decode_keeps_its_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = ramps(1607, 1204)
    original = pictures.encode(drawn, "jpeg", quality=95)
    monkeypatch.setattr(turbo, "decode_in_memory", lambda *_: None)
    result = render_pixels(original, step("resize", width=100, height=75, fit="fill"))
    assert abs(result - lanczos(drawn.astype(float), 100, 75)).max() < 3


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_the_result_has_exactly_the_requested_size(
    width: int, height: int, new_width: int, new_height: int
) -> None:
    image = pyvips.Image.new_from_array(ramps(width, height))
    result = resample(image, Size(new_width, new_height), Size(width, height))
    assert (result.width, result.height) == (new_width, new_height)


@given(
    st.tuples(*[st.integers(0, 255)] * 3),
    st.integers(1, 255),
    st.integers(2, 5),
)
def test_colors_under_alpha_are_rounded_and_not_cut_off(
    color: tuple[int, int, int], alpha: int, factor: int
) -> None:
    original = pictures.plain(6 * factor, 4 * factor, (*color, alpha))
    picture = open_picture(original)
    result = resize(picture, Size(6, 4)).image.numpy()
    for ground in (0, 255):
        shown = over(result, ground)
        assert abs(shown - over(original[:4, :6], ground)).max() <= 1


def over(pixels: pictures.Pixels, ground: int) -> Pixels:
    share = pixels[:, :, 3:] / 255
    return pixels[:, :, :3] * share + ground * (1 - share)


def open_picture(pixels: pictures.Pixels) -> Picture:
    return decode(pictures.encode(pixels), Limits(), detector=DETECTOR)
