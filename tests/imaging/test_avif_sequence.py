"""Animations become AVIF image sequences: every frame, its time, the loop count and alpha stay."""

import io
import struct
from typing import Any

import numpy as np
import pictures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from render_helper import DETECTOR, REGISTRY, render_steps, step

from proxy.errors import BrokenImage, ImageTooLarge, OperationNotApplicable
from proxy.formats import FormatName
from proxy.imaging.headers import ProbeBudget, probe
from proxy.imaging.headers.isobmff import boxes, read_loop_count
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations.pipeline import render

AVIF = step("convert", format="avif")
DELAYS = [70, 90, 1000, 40]


def webp(count: int = 4, width: int = 61, height: int = 43, **options: Any) -> bytes:
    """A lossless animation of an odd size, in which everything moves."""
    first, *rest = map(Image.fromarray, pictures.moving_scene(count, width, height))
    output = io.BytesIO()
    options = {"duration": 70, "loop": 0, "lossless": True, **options}
    first.save(output, "WEBP", save_all=True, append_images=rest, **options)
    return output.getvalue()


def noisy(count: int, width: int, height: int) -> list[pictures.Pixels]:
    """A moving picture with the grain of a photograph."""
    noise = np.random.default_rng(7).normal(0, 6, (height, width, 3))
    frames = pictures.moving_scene(count, width, height)
    return [np.clip(frame + noise, 0, 255).astype(np.uint8) for frame in frames]


def loop_count(body: bytes) -> int:
    return read_loop_count(memoryview(body), ProbeBudget(len(body)))


def auto(original: bytes, *accepted: FormatName, limits: Limits | None = None) -> Rendition:
    plan = REGISTRY.plan([step("convert", format="auto")]).with_accepted_formats(accepted)
    return render(original, plan, limits or Limits(), detector=DETECTOR).rendition


def test_frames_and_their_times_stay() -> None:
    original = webp(duration=DELAYS)
    result = render_steps(original, step("convert", format="avif", quality=90))
    assert (result.format, probe(result.body).frames) == ("avif", 4)
    assert pictures.frame_delays(result.body) == DELAYS
    shown = pictures.decode_frames(result.body)
    for frame, expected in zip(shown, pictures.moving_scene(4, 61, 43), strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 4


def test_frames_that_browsers_show_for_a_tenth_of_a_second_say_so() -> None:
    assert pictures.frame_delays(render_steps(webp(duration=[0, 10, 20, 70]), AVIF).body) == [
        100,
        100,
        20,
        70,
    ]


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([0, 1, 2, 65_535]) | st.integers(0, 65_535))
def test_the_loop_count_stays_through_every_format(loop: int) -> None:
    sequence = render_steps(webp(2, 16, 16, loop=loop), AVIF).body
    assert loop_count(sequence) == loop
    with Image.open(
        io.BytesIO(render_steps(sequence, step("convert", format="webp")).body)
    ) as back:
        assert back.info["loop"] == loop
    assert loop_count(render_steps(sequence, step("flip")).body) == loop


def tracks(*, version: int, duration: int, once: int, flags: int = 1) -> bytes:
    """The boxes of a track header and an edit list."""
    number = ">Q" if version else ">I"
    width = struct.calcsize(number)

    def box(name: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + name + content

    head = bytes((version, 0, 0, 7)) + bytes(2 * width + 8) + struct.pack(number, duration)
    edits = bytes((version, 0, 0, flags)) + bytes((0, 0, 0, 1)) + struct.pack(number, once)
    track = box(b"tkhd", head + bytes(60)) + box(b"edts", box(b"elst", edits + bytes(12)))
    return box(b"moov", box(b"trak", track))


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("duration", "once", "flags", "expected"),
    [(300, 100, 1, 3), (250, 100, 1, 3), (100, 100, 1, 1), (500, 100, 0, 1), (500, 0, 1, 0)],
)
def test_an_edit_list_is_repeated_until_its_track_ends(
    version: int, duration: int, once: int, flags: int, expected: int
) -> None:
    body = tracks(version=version, duration=duration, once=once, flags=flags)
    assert loop_count(body) == expected
    endless = (1 << (64 if version else 32)) - 1
    assert loop_count(tracks(version=version, duration=endless, once=100)) == 0


def test_without_an_edit_list_it_plays_forever() -> None:
    assert loop_count(b"") == 0


def test_a_file_does_not_say_when_it_was_made() -> None:
    view = memoryview(render_steps(webp(), AVIF).body)
    times = {
        name: bytes(view[start + 4 : start + 20])
        for name, start, _ in boxes(view, ProbeBudget(len(view)))
        if name in (b"mvhd", b"tkhd", b"mdhd")
    }
    assert times == dict.fromkeys((b"mvhd", b"tkhd", b"mdhd"), bytes(16))


def test_alpha_stays() -> None:
    frames = [
        np.roll(pictures.translucent_scene(60, 44), 9 * at, axis=1).astype(np.uint8)
        for at in range(3)
    ]
    first, *rest = map(Image.fromarray, frames)
    output = io.BytesIO()
    first.save(output, "WEBP", save_all=True, append_images=rest, lossless=True, exact=True)
    result = render_steps(output.getvalue(), step("convert", format="avif", quality=90))
    with Image.open(io.BytesIO(result.body)) as image:
        shown = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    for frame, expected in zip(shown, frames, strict=True):
        assert np.abs(frame[..., 3].astype(int) - expected[..., 3]).mean() < 4


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (17, 33)])
def test_any_size_can_be_an_animation(size: tuple[int, int]) -> None:
    part = step("crop", left_in_px=0, top_in_px=0, width_in_px=size[0], height_in_px=size[1])
    result = render_steps(webp(2), part, AVIF)
    assert [frame.shape[:2] for frame in pictures.decode_frames(result.body)] == [size[::-1]] * 2


def test_a_large_animation_is_encoded_as_well() -> None:
    frames = noisy(4, 640, 480)
    original = pictures.encode_animation(frames, "webp")
    result = render_steps(original, AVIF)
    shown = pictures.decode_frames(result.body)
    for frame, expected in zip(shown, pictures.decode_frames(original), strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 6


def test_one_frame_alone_is_a_still_picture() -> None:
    result = render_steps(webp(), step("frames", first=2, last=2), AVIF)
    assert probe(result.body).frames == 1


def test_frames_and_stills_of_a_sequence() -> None:
    sequence = render_steps(webp(duration=DELAYS), AVIF).body
    some = render_steps(sequence, step("frames", first=2, last=3))
    assert (some.format, pictures.frame_delays(some.body)) == ("avif", DELAYS[1:3])
    still = render_steps(sequence, step("page", number=3), step("convert", format="png"))
    third = pictures.moving_scene(4, 61, 43)[2]
    assert np.abs(pictures.decode(still.body)[..., :3].astype(int) - third).mean() < 8
    with pytest.raises(OperationNotApplicable, match="4 frames"):
        render_steps(sequence, step("page", number=5))


def test_frames_of_a_sequence_are_counted_and_bounded() -> None:
    sequence = render_steps(webp(), AVIF).body
    with pytest.raises(ImageTooLarge, match="MAX_FRAMES"):
        render_steps(sequence, limits=Limits(max_frames=3))
    with pytest.raises(ImageTooLarge, match="ALL_FRAMES"):
        render_steps(sequence, limits=Limits(max_source_pixels_all_frames=61 * 43 * 3))
    still = render_steps(sequence, step("convert", format="jpeg"), limits=Limits(max_frames=1))
    assert still.format == "jpeg"


def test_a_damaged_sequence_is_no_image() -> None:
    sequence = render_steps(webp(), AVIF).body
    with pytest.raises(BrokenImage):
        render_steps(sequence[:-40])


def test_the_copyright_stays_where_it_is_asked_for() -> None:
    exif = Image.Exif()
    exif[0x8298] = "Ada Lovelace"
    original = webp(exif=exif.tobytes())
    kept = render_steps(original, step("keep"), AVIF)
    with Image.open(io.BytesIO(kept.body)) as image:
        assert image.getexif()[0x8298] == "Ada Lovelace"
    assert b"Ada Lovelace" not in render_steps(original, AVIF).body


def test_auto_prefers_a_sequence_for_moving_photographs() -> None:
    original = pictures.encode_animation(noisy(6, 160, 120), "gif")
    best = auto(original, "avif", "webp")
    second = auto(original, "webp")
    assert (best.format, second.format, auto(original).format) == ("avif", "webp", "gif")
    assert len(best.body) < 0.5 * len(second.body)


@pytest.mark.parametrize("size", [(160, 120), (700, 500)])
def test_auto_keeps_flat_animations_lossless_where_that_is_smaller(size: tuple[int, int]) -> None:
    """Both a small one, which is encoded as a whole, and one that is judged by its first frames."""
    original = pictures.encode_animation(pictures.moving_square(5, *size), "gif")
    lossless, lossy = auto(original, "avif", "webp"), render_steps(original, AVIF)
    assert lossless.format == "webp"
    assert len(lossless.body) <= 1.1 * len(lossy.body)
    for frame, expected in zip(
        pictures.decode_frames(lossless.body), pictures.decode_frames(original), strict=True
    ):
        assert np.array_equal(frame, expected)


def test_auto_takes_a_sequence_for_flat_pictures_that_move() -> None:
    text = np.random.default_rng(3).integers(0, 2, (40, 50)).astype(np.uint8) * 220 + 20
    page = np.dstack([text.repeat(8, 0).repeat(8, 1)] * 3)
    frames = [np.roll(page, 3 * at, axis=0) for at in range(12)]
    original = pictures.encode_animation(frames, "gif")
    both = auto(original, "avif", "webp")
    assert both.format == "avif"
    assert len(both.body) < len(auto(original, "webp").body)


def test_frames_that_the_encoder_has_no_memory_for_become_webp() -> None:
    original = webp(2, 60, 40)
    limits = Limits(max_result_pixels_unstreamed=2 * 60 * 40 - 1)
    with pytest.raises(ImageTooLarge, match="a frame of the result is 60x40, more than 2399"):
        render_steps(original, AVIF, limits=limits)
    assert auto(original, "avif", "webp", limits=limits).format == "webp"
    assert render_steps(original, step("page", number=1), AVIF, limits=limits).format == "avif"


def test_a_sequence_fits_into_a_number_of_bytes_and_has_a_look() -> None:
    original = pictures.encode_animation(noisy(3, 96, 72), "webp")
    full = render_steps(original, AVIF)
    bound = len(full.body) // 2
    small = render_steps(original, step("compress_to_size", max_file_size_in_bytes=bound), AVIF)
    assert len(small.body) <= bound
    assert probe(small.body).frames == 3
    best = render_steps(original, step("convert", format="avif", quality="best"))
    low = render_steps(original, step("convert", format="avif", quality="low"))
    assert len(best.body) > len(low.body)


def test_options_of_the_encoder_hold_for_sequences() -> None:
    original = pictures.encode_animation(noisy(3, 96, 72), "webp")
    usual = render_steps(original, AVIF).body
    assert render_steps(original, step("convert", format="avif", effort=3)).body == usual
    quick = render_steps(original, step("convert", format="avif", effort=0)).body
    assert len(quick) > len(usual)
    full = render_steps(original, step("convert", format="avif", chroma_subsampling="444")).body
    assert full != usual
    with pytest.raises(OperationNotApplicable, match="cannot be lossless"):
        render_steps(original, step("convert", format="avif", lossless=True))
