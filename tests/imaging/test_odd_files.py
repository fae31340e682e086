"""Files that browsers show though they are odd; half a file stays an error."""

import io
import re
from contextlib import suppress
from typing import Any

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_files import Directory, GifFrame, gif, shown_frames, tiff
from PIL import Image
from render_helper import render_pixels, render_steps, step

from proxy.errors import BrokenImage, ImageError, NotAnImage
from proxy.formats import sniff
from proxy.imaging.headers import probe
from proxy.imaging.headers.strip import strip_metadata

SCENE = pictures.scene(160, 120)
BASELINE = pictures.encode(SCENE, "jpeg", quality=90)
PROGRESSIVE = pictures.encode(SCENE, "jpeg", quality=90, progressive=True)
RESTARTS = pictures.encode(SCENE, "jpeg", quality=90, restart_marker_rows=1)
JPEGS = {"baseline": BASELINE, "progressive": PROGRESSIVE, "restarts": RESTARTS}

TABLES = BASELINE.index(b"\xff\xdb")
START, END = b"\xff\xd8", b"\xff\xd9"


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("width", [None, 30])
def test_a_jpeg_without_end_marker_is_shown_whole(kind: str, width: int | None) -> None:
    steps = [] if width is None else [step("resize", width=width)]
    whole = render_pixels(JPEGS[kind], *steps)
    for cut in (1, 2):
        assert np.array_equal(render_pixels(JPEGS[kind][:-cut], *steps), whole)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("before", [b"", b"\r\n"])
@pytest.mark.parametrize("percent", [15, 50, 80, 97])
def test_a_part_of_a_jpeg_is_an_error(kind: str, before: bytes, percent: int) -> None:
    part = JPEGS[kind][: len(JPEGS[kind]) * percent // 100]
    with pytest.raises(ImageError):
        render_pixels(before + part)
    with pytest.raises(ImageError):
        render_pixels(before + part[:TABLES] + b"junk" + part[TABLES:])


ODD_JFIF = RESTARTS.replace(b"JFIF\0\1", b"JFIF\0\3", 1)
FIRST_RESTART = RESTARTS.index(b"\xff\xd0")
JUNK_INSIDE = RESTARTS[:FIRST_RESTART] + b"junk" + RESTARTS[FIRST_RESTART:]


def test_an_unknown_version_of_jfif_is_shown() -> None:
    assert np.array_equal(render_pixels(ODD_JFIF), render_pixels(RESTARTS))
    assert np.array_equal(render_pixels(ODD_JFIF[:-2]), render_pixels(RESTARTS))


@pytest.mark.parametrize("body", [ODD_JFIF, JUNK_INSIDE, b"\r\n" + ODD_JFIF], ids=range(3))
@pytest.mark.parametrize("width", [None, 30])
@pytest.mark.parametrize("percent", [20, 50, 90])
def test_another_fault_does_not_hide_that_a_part_is_missing(
    body: bytes, width: int | None, percent: int
) -> None:
    steps = [] if width is None else [step("resize", width=width)]
    with pytest.raises(ImageError):
        render_pixels(body[: len(body) * percent // 100], *steps)


def test_a_progressive_jpeg_without_its_last_scans_is_an_error() -> None:
    _, *scans = (found.start() for found in re.finditer(b"\xff\xda", PROGRESSIVE))
    assert len(scans) > 2
    for end in scans:
        with pytest.raises(BrokenImage):
            render_pixels(PROGRESSIVE[:end])


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n" + BASELINE,
        b"\xef\xbb\xbf" + BASELINE,
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + BASELINE,
        END + START + BASELINE,
        START + END + BASELINE,
        START + BASELINE[TABLES : BASELINE.index(b"\xff\xc0")] + END + BASELINE,
        BASELINE[:TABLES] + b"\0\0junk" + BASELINE[TABLES:],
        BASELINE[:TABLES] + b"\xff\xff" + BASELINE[TABLES:],
        BASELINE + b"trailing bytes" * 9,
        BASELINE[:-2] + bytes(100),
        BASELINE + bytes(100_000),
    ],
    ids=range(11),
)
def test_bytes_around_and_between_the_parts_of_a_jpeg_are_left_out(body: bytes) -> None:
    assert np.array_equal(render_pixels(body), render_pixels(BASELINE))
    assert np.array_equal(
        render_pixels(body, step("resize", width=40)),
        render_pixels(BASELINE, step("resize", width=40)),
    )


@given(junk=st.binary(max_size=500), at=st.sampled_from([0, TABLES]))
def test_any_junk_gives_the_picture_or_an_image_error(junk: bytes, at: int) -> None:
    try:
        result = render_steps(BASELINE[:at] + junk + BASELINE[at:], step("resize", width=20))
    except ImageError:
        return
    assert result.size.width == 20


@pytest.mark.parametrize("start", [b"%PDF-1.7\n", b"PK\3\4", b"8BPS\0\1", b"ID3\3\0", b"<html>"])
def test_a_picture_inside_another_kind_of_file_is_not_the_picture(start: bytes) -> None:
    assert sniff(start + bytes(20) + BASELINE) is None
    with pytest.raises(NotAnImage):
        probe(start + bytes(20) + BASELINE)


def test_the_unchanged_pixels_of_an_odd_jpeg_are_sent_without_its_junk() -> None:
    best = step("convert", format="jpeg", quality=100)
    for body in (
        b"\r\n" + BASELINE,
        BASELINE[:-2],
        BASELINE[:TABLES] + b"junk" + BASELINE[TABLES:],
    ):
        sent = render_steps(body, best).body
        assert sent.startswith(b"\xff\xd8\xff")
        assert sent.endswith(END)
        assert b"junk" not in sent


WHOLE, PART, INNER = (0, 0, 20, 20), (5, 5, 15, 15), (7, 7, 12, 12)
GIFS = {
    "a still that covers a part": [GifFrame(PART, 1)],
    "a first frame that covers a part": [GifFrame(PART, 1), GifFrame(WHOLE, 2)],
    "parts": [GifFrame(PART, 1, 1), GifFrame(INNER, 2)],
    "removed": [GifFrame(WHOLE, 1, 2), GifFrame(PART, 2, 2), GifFrame(INNER, 3)],
    "restored": [GifFrame(WHOLE, 1), GifFrame(PART, 2, 3), GifFrame(INNER, 3)],
    "all kinds": [GifFrame(PART, 1, 3), GifFrame(INNER, 2, 2), GifFrame(PART, 3)],
    "transparent": [GifFrame(PART, 1, 0, 3), GifFrame(INNER, 3, 0, 3)],
    "one is transparent": [GifFrame(WHOLE, 1, 2, 3), GifFrame(PART, 2, 2), GifFrame(INNER, 0)],
}


def rgba(pixels: pictures.Pixels) -> pictures.Pixels:
    opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return pixels if pixels.shape[2] == 4 else np.concatenate([pixels, opaque], axis=2)


def same_to_the_eye(one: pictures.Pixels, other: pictures.Pixels) -> bool:
    """Equal, whatever color transparent pixels have."""
    seen = one[:, :, 3] > 0
    return np.array_equal(one[:, :, 3], other[:, :, 3]) and np.array_equal(one[seen], other[seen])


@pytest.mark.parametrize("kind", GIFS)
def test_what_no_frame_of_a_gif_covers_is_transparent(kind: str) -> None:
    original = gif(20, 20, GIFS[kind])
    for number, shown in enumerate(shown_frames(20, 20, GIFS[kind]), start=1):
        page = [] if number == 1 else [step("page", number=number)]
        assert same_to_the_eye(shown, rgba(render_pixels(original, *page)))


@pytest.mark.parametrize("outside", [(10, 10, 30, 30), (0, 15, 20, 90), (25, 25, 30, 30)])
def test_a_later_frame_of_a_gif_that_sticks_out_is_cut(outside: tuple[int, int, int, int]) -> None:
    frames = [GifFrame(PART, 1, 2), GifFrame(outside, 2)]
    shown = shown_frames(20, 20, frames)[1]
    pixels = render_pixels(gif(20, 20, frames), step("page", number=2))
    assert same_to_the_eye(shown, rgba(pixels))


def test_a_first_frame_that_sticks_out_enlarges_the_canvas_of_a_gif() -> None:
    frames = [GifFrame((5, 5, 30, 30), 1, 2), GifFrame(INNER, 2)]
    for number, expected in enumerate(shown_frames(30, 30, frames), start=1):
        pixels = rgba(render_pixels(gif(20, 20, frames), step("page", number=number)))
        assert same_to_the_eye(expected, pixels)


def box() -> st.SearchStrategy[tuple[int, int, int, int]]:
    def sides(points: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        left, right = sorted(points[:2])
        top, bottom = sorted(points[2:])
        return left, top, right + 1, bottom + 1

    coordinate = st.integers(0, 7)
    return st.tuples(coordinate, coordinate, coordinate, coordinate).map(sides)


@given(
    st.lists(
        st.builds(
            GifFrame,
            st.one_of(st.just((0, 0, 8, 8)), box()),
            st.integers(0, 3),
            st.sampled_from([0, 1, 2, 3]),
            st.sampled_from([None, None, 0, 3]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_frames_of_a_gif_are_shown_as_in_browsers(frames: list[GifFrame]) -> None:
    original = gif(8, 8, frames)
    for number, shown in enumerate(shown_frames(8, 8, frames), start=1):
        page = [] if number == 1 else [step("page", number=number)]
        assert same_to_the_eye(shown, rgba(render_pixels(original, *page)))


def animation(format: str, **options: Any) -> bytes:
    first, *rest = map(Image.fromarray, pictures.moving_scene(4, 160, 120))
    output = io.BytesIO()
    durations = [70, 80, 90, 200]
    first.save(
        output, format, save_all=True, append_images=rest, duration=durations, loop=3, **options
    )
    return output.getvalue()


def nearest_frame(pixels: pictures.Pixels) -> int:
    """Which frame of the animation it is, counted from 0."""
    frames = pictures.moving_scene(4, 160, 120)
    return int(np.argmin([np.abs(pixels[:, :, :3] - each.astype(int)).mean() for each in frames]))


def test_the_hidden_default_picture_of_an_animated_png_is_not_shown() -> None:
    original = animation("PNG", default_image=True)
    assert probe(original).frames == 3
    moving = render_steps(original, step("convert", format="webp", quality=95))
    assert [nearest_frame(frame) for frame in pictures.decode_frames(moving.body)] == [1, 2, 3]
    assert nearest_frame(render_pixels(original)) == 1
    assert nearest_frame(render_pixels(original, step("page", number=2))) == 2
    assert nearest_frame(pictures.decode(render_steps(original).body)) == 1
    assert strip_metadata(original, "png") is None


def test_an_animated_avif_stays_an_animation() -> None:
    original = animation("AVIF", quality=90)
    assert (probe(original).frames, probe(original).animated) == (4, True)
    for format, steps in (("avif", []), ("webp", [step("convert", format="webp", quality=95)])):
        result = render_steps(original, *steps)
        assert result.format == format
        shown = pictures.decode_frames(result.body)
        assert [nearest_frame(frame) for frame in shown] == [0, 1, 2, 3]
        assert pictures.frame_delays(result.body) == [70, 80, 90, 200]
    assert nearest_frame(render_pixels(original, step("page", number=3))) == 2


@pytest.mark.parametrize("format", ["AVIF", "PNG", "WEBP", "GIF"])
def test_a_range_of_frames_keeps_their_own_delays(format: str) -> None:
    result = render_steps(
        animation(format), step("frames", first=2, last=3), step("convert", format="webp")
    )
    assert pictures.frame_delays(result.body) == [80, 90]


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
THUMBNAIL = Directory(8, 6, RED, kind=1)
SENSOR = Directory(100, 80, GREEN, photometric=32803)
PREVIEW = Directory(60, 40, BLUE, kind=1)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize(
    ("directories", "expected"),
    [
        ([THUMBNAIL, Directory(60, 40, BLUE)], ((40, 60), BLUE, 1)),
        ([Directory(60, 40, BLUE), THUMBNAIL], ((40, 60), BLUE, 1)),
        ([THUMBNAIL._replace(inside=(Directory(60, 40, BLUE),))], ((40, 60), BLUE, 1)),
        ([THUMBNAIL._replace(inside=(SENSOR, PREVIEW))], ((40, 60), BLUE, 1)),
        ([THUMBNAIL._replace(inside=(SENSOR,))], ((6, 8), RED, 1)),
        ([SENSOR._replace(inside=(THUMBNAIL, PREVIEW))], ((40, 60), BLUE, 1)),
        ([Directory(60, 40, BLUE, inside=(THUMBNAIL,))], ((40, 60), BLUE, 1)),
        ([Directory(8, 6, BLUE), Directory(60, 40, RED)], ((6, 8), BLUE, 2)),
        ([Directory(60, 40, BLUE, kind=2), Directory(6, 4, RED, kind=2)], ((40, 60), BLUE, 2)),
        ([Directory(60, 40, RED, kind=4), Directory(60, 40, BLUE)], ((40, 60), BLUE, 1)),
        ([THUMBNAIL._replace(orientation=6, inside=(SENSOR, PREVIEW))], ((60, 40), BLUE, 1)),
    ],
    ids=range(11),
)
def test_a_thumbnail_of_a_tiff_is_not_its_picture(
    directories: list[Directory],
    expected: tuple[tuple[int, int], tuple[int, int, int], int],
    byte_order: str,
) -> None:
    original = tiff(*directories, byte_order=byte_order)
    result = render_pixels(original)
    assert (result.shape[:2], tuple(result[0, 0, :3].tolist()), probe(original).frames) == expected


DAMAGED = [
    *(gif(20, 20, frames) for frames in GIFS.values()),
    tiff(THUMBNAIL._replace(inside=(SENSOR, PREVIEW))),
    animation("AVIF", quality=50),
    animation("PNG", default_image=True),
    PROGRESSIVE[:-2],
    b"\r\n" + BASELINE,
]


@given(
    st.sampled_from(DAMAGED),
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=4), st.integers(0, 4)), max_size=4),
)
def test_damaged_odd_files_decode_or_raise_an_image_error(
    original: bytes, damage: list[tuple[int, bytes, int]]
) -> None:
    body = bytearray(original)
    for at, data, removed in damage:
        body[at : at + removed] = data
    with suppress(ImageError):
        assert render_steps(bytes(body), step("resize", width=20)).body
