"""What a plan asks of an encoder is what the file has, also after the optimizer."""

import io
from pathlib import Path

import numpy as np
import pictures
import pytest
from pictures import Pixels
from PIL import Image
from render_helper import DETECTOR, REGISTRY, render_steps, step

from proxy.errors import InvalidOperation, OperationNotApplicable
from proxy.formats import FormatName
from proxy.imaging.cost_model import encode_cost
from proxy.imaging.encoder_options import EFFORTS, EncoderOptions
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations.pipeline import render

PHOTO = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
SCENE = pictures.encode(pictures.scene(160, 120))
SMALL = step("resize", width_in_px=64)
MOVING = pictures.encode_animation(pictures.moving_scene(3, 60, 40))


def convert(format: str, original: bytes = PHOTO, **fields: object) -> bytes:
    return render_steps(original, SMALL, step("convert", format=format, **fields)).body


def negotiate(
    *steps: dict[str, object],
    accepted: tuple[FormatName, ...] = (),
    original: bytes = PHOTO,
    optimized: bool = False,
) -> Rendition:
    """The rendition for a client that accepts these formats."""
    plan = REGISTRY.plan([SMALL, *steps]).with_accepted_formats(accepted)
    return render(
        original,
        plan,
        Limits(),
        detector=DETECTOR,
        optimize_from=accepted if optimized else None,
    ).rendition


def reference(original: bytes = PHOTO) -> Pixels:
    return pillow_pixels(convert("png", original))


def pillow_pixels(body: bytes) -> Pixels:
    """By Pillow's own decoders, which are others than those of libvips."""
    import pillow_jxl  # noqa: F401 - registers its decoder

    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


def is_progressive(body: bytes) -> bool:
    match body[:4]:
        case b"\x89PNG":
            return body[28] == 1
        case b"GIF8":
            image = body.index(b",", 13 + 3 * 2 ** ((body[10] & 7) + 1))
            return bool(body[image + 9] & 0x40)
        case _:
            return b"\xff\xc2" in body[: body.index(b"\xff\xda")]


def chroma(body: bytes) -> str:
    if body[:2] == b"\xff\xd8":
        with Image.open(io.BytesIO(body)) as image:
            return "420" if image.layer[0][1:3] == (2, 2) else "444"  # type: ignore[attr-defined]
    coding = body[body.index(b"av1C") + 6]
    return "420" if coding & 0b1100 else "444"


def is_lossless_webp(body: bytes) -> bool:
    return b"VP8L" in body[:64]


@pytest.mark.parametrize("format", ["webp", "avif", "jxl"])
def test_lossless_keeps_every_pixel(format: str) -> None:
    body = convert(format, lossless=True)
    assert np.array_equal(pillow_pixels(body), reference())
    assert not np.array_equal(pillow_pixels(convert(format)), reference())


def test_a_lossless_animation_keeps_every_pixel() -> None:
    plain = render_steps(MOVING, step("convert", format="webp", lossless=True)).body
    for frame, expected in zip(
        pictures.decode_frames(plain), pictures.decode_frames(MOVING), strict=True
    ):
        assert np.array_equal(frame[..., :3], expected[..., :3])


@pytest.mark.parametrize("format", ["jpeg", "png", "gif"])
def test_a_file_is_progressive_if_asked_for(format: str) -> None:
    assert is_progressive(convert(format, progressive=True))
    assert not is_progressive(convert(format, progressive=False))
    assert not is_progressive(convert(format))
    drawing = pictures.encode(pictures.red_square(96, 60, 10, 10, 20))
    assert is_progressive(convert(format, drawing, progressive=True))


@pytest.mark.parametrize("format", ["jpeg", "avif"])
@pytest.mark.parametrize("quality", [50, 95])
def test_colors_have_the_resolution_that_was_asked_for(format: str, quality: int) -> None:
    for asked in ("420", "444"):
        assert chroma(convert(format, quality=quality, chroma=asked)) == asked
    usual = chroma(convert(format, quality=quality))
    assert usual == ("444" if quality >= 90 else "420")


@pytest.mark.parametrize("format", ["jpeg", "avif"])
def test_full_color_resolution_is_seen(format: str) -> None:
    red = pictures.encode(np.kron(np.eye(24, dtype=np.uint8) * 255, np.ones((4, 4), np.uint8)))
    tint = step("tint", hex_color="#ff0000")
    errors = {}
    for asked in ("420", "444"):
        plan = (tint, step("convert", format=format, quality=80, chroma=asked))
        exact = pictures.decode(render_steps(red, tint, step("convert", format="png")).body)
        found = pictures.decode(render_steps(red, *plan).body)
        errors[asked] = np.abs(found[..., :3].astype(int) - exact[..., :3]).mean()
    assert errors["444"] < errors["420"]


@pytest.mark.parametrize("format", ["webp", "png", "jxl", "gif"])
def test_more_effort_takes_fewer_bytes(format: FormatName) -> None:
    low, high = EFFORTS[format]
    lossless = format == "jxl"  # a lossy one of more effort looks better, and is no smaller
    most, least = (convert(format, effort=effort, lossless=lossless) for effort in (high, low))
    assert len(most) < len(least)


def test_more_effort_takes_fewer_bytes_of_a_palette() -> None:
    drawing = pictures.encode(pictures.red_square(96, 60, 10, 10, 20))
    bodies = [convert("png", drawing, effort=effort) for effort in (0, 9)]
    assert len(bodies[1]) < len(bodies[0])
    assert np.array_equal(pillow_pixels(bodies[0]), pillow_pixels(bodies[1]))


def test_equal_options_make_equal_keys_and_bytes() -> None:
    named = REGISTRY.plan([step("convert", format="jpeg", chroma="444", progressive=True)])
    by_link = REGISTRY.from_args(
        "convert", [(None, "jpg"), ("progressive", "yes"), ("chroma_subsampling", "444")]
    )
    assert named.operations == (by_link,)
    assert convert("jpeg", chroma="420") == convert("jpeg")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": "jpeg", "lossless": True}, "jpeg cannot be lossless; use webp"),
        ({"format": "png", "lossless": True}, "png is always lossless; leave it out"),
        ({"format": "gif", "lossless": True}, "gif has at most 256 colors; use webp"),
        ({"format": "heif", "lossless": True}, "heif is always lossy here; use webp"),
        ({"format": "webp", "lossless": True, "quality": 80}, "quality: lossless=true has none"),
        ({"format": "auto", "lossless": True, "quality": "good"}, "quality: lossless=true has no"),
        ({"format": "auto", "lossless": True, "ssimulacra2": 70}, "quality: lossless=true has no"),
        ({"format": "auto", "lossless": True, "keep_lossless": False}, "contradicts lossless"),
        ({"format": "auto", "lossless": True, "chroma": "420"}, "leave one of them out"),
        ({"format": "avif", "lossless": True, "chroma": "444"}, "leave one of them out"),
        ({"format": "webp", "effort": 7}, "from 0 to 6 for webp, not 7; the nearest is 6"),
        ({"format": "gif", "effort": 0}, "from 1 to 10 for gif, not 0; the nearest is 1"),
        ({"format": "avif", "effort": 11}, "whole number from 0 to 10"),
        ({"format": "jpeg", "effort": 1}, "jpeg has none; the scales are webp 0 to 6"),
        ({"format": "auto", "effort": 1}, "give each format its own, as encode:webp:effort=6"),
        ({"format": "webp", "progressive": True}, "possible with gif, jpeg, png, not with webp"),
        ({"format": "webp", "progressive": False}, "possible with gif, jpeg, png, not with webp"),
        ({"format": "webp", "chroma": "444"}, "webp is always 420, and full resolution with"),
        ({"format": "png", "chroma": "444"}, "png always has full resolution"),
        ({"format": "jpeg", "chroma": "422"}, "one of 420, 444, not '422'"),
    ],
)
def test_what_a_format_does_not_know_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidOperation, match=reason):
        REGISTRY.plan([step("convert", **fields)])


def test_auto_that_is_lossless_takes_webp_or_png() -> None:
    lossless = step("convert", format="auto", lossless=True)
    with_webp: tuple[tuple[FormatName, ...], ...] = (("avif", "webp"), ("webp",))
    without: tuple[tuple[FormatName, ...], ...] = ((), ("avif",))
    for accepted in with_webp:
        result = negotiate(lossless, accepted=accepted)
        assert is_lossless_webp(result.body)
        assert np.array_equal(pillow_pixels(result.body), reference())
    for accepted in without:
        result = negotiate(lossless, accepted=accepted)
        assert result.format == "png"
        assert np.array_equal(pillow_pixels(result.body), reference())
    assert negotiate(lossless, original=MOVING).format == "gif"


def test_auto_with_full_color_resolution_leaves_lossy_webp_out() -> None:
    full = step("convert", format="auto", chroma="444")
    assert negotiate(full, accepted=("webp",)).format == "jpeg"
    for accepted in ((), ("webp",), ("avif", "webp")):
        assert chroma(negotiate(full, accepted=accepted).body) == "444"
    tiny = step("resize", width_in_px=30)
    assert negotiate(tiny, full, accepted=("avif", "webp")).format == "avif"


def test_auto_applies_the_options_that_its_format_knows() -> None:
    options = step("convert", format="auto", progressive=True, chroma="420", quality=95)
    jpeg, avif = (negotiate(options, accepted=formats).body for formats in ((), ("avif",)))
    assert is_progressive(jpeg)
    assert {chroma(jpeg), chroma(avif)} == {"420"}
    assert is_progressive(negotiate(options, original=MOVING).body)


def test_each_format_has_options_of_its_own() -> None:
    plan = (
        step("convert", format="auto"),
        step("encode", encoder="webp", lossless=True),
        step("encode", encoder="jpeg", progressive=True),
    )
    assert is_progressive(negotiate(*plan).body)
    assert is_lossless_webp(negotiate(*plan, accepted=("webp",)).body)
    assert negotiate(*plan, accepted=("avif", "webp")).format == "avif"


def test_options_are_added_and_a_later_convert_counts_alone() -> None:
    first = step("convert", format="jpeg", chroma="444")
    more = step("encode", encoder="jpeg", progressive=True)
    body = negotiate(first, more).body
    assert (is_progressive(body), chroma(body)) == (True, "444")
    body = negotiate(first, more, step("convert", format="jpeg")).body
    assert (is_progressive(body), chroma(body)) == (False, "420")


def test_options_that_contradict_each_other_are_refused_together() -> None:
    plan = (
        step("encode", encoder="avif", lossless=True),
        step("encode", encoder="avif", chroma="420"),
    )
    with pytest.raises(OperationNotApplicable, match="leave one of them out"):
        negotiate(*plan)
    with pytest.raises(InvalidOperation, match="at least one option is required"):
        REGISTRY.plan([step("encode", encoder="avif")])


@pytest.mark.parametrize("format", ["webp", "avif"])
def test_a_bound_in_bytes_makes_a_lossless_file_smaller_and_not_lossy(format: str) -> None:
    full = render_steps(PHOTO, SMALL, step("convert", format=format, lossless=True))
    bound = step("compress_to_size", max_file_size=len(full.body) // 2)
    result = render_steps(PHOTO, SMALL, step("convert", format=format, lossless=True), bound)
    assert len(result.body) <= len(full.body) // 2
    assert result.size.width < full.size.width
    if format == "webp":
        assert is_lossless_webp(result.body)


def test_auto_that_must_be_lossless_stays_so_within_a_bound() -> None:
    lossless = step("convert", format="auto", lossless=True)
    bound = step("compress_to_size", max_file_size=3000)
    assert is_lossless_webp(negotiate(lossless, bound, accepted=("webp",)).body)
    assert negotiate(lossless, bound).format == "png"


@pytest.mark.parametrize(
    ("format", "fields"), [("jpeg", {"progressive": True}), ("jpeg", {"chroma": "444"})]
)
def test_an_original_that_is_coded_otherwise_is_not_sent_instead(
    format: str, fields: dict[str, object]
) -> None:
    original = pictures.encode(pictures.scene(), "jpeg", quality=30)
    body = render_steps(original, step("convert", format=format, quality=95, **fields)).body
    assert len(body) > len(original)
    assert (is_progressive(body), chroma(body)) == (
        fields.get("progressive", False),
        fields.get("chroma", "444"),
    )


@pytest.mark.parametrize("asked", ["420", "444"])
@pytest.mark.parametrize("progressive", [True, False])
def test_the_optimizer_keeps_the_options_of_a_jpeg(asked: str, *, progressive: bool) -> None:
    options = step("convert", format="jpeg", chroma=asked, progressive=progressive)
    first, better = negotiate(options), negotiate(options, optimized=True)
    assert len(better.body) < len(first.body) or asked == "444" or not progressive
    assert len(better.body) <= len(first.body)
    assert (is_progressive(better.body), chroma(better.body)) == (progressive, asked)


def test_the_optimizer_keeps_a_png_progressive() -> None:
    plan = step("blur", sigma=1.5), step("convert", format="png", progressive=True)
    first, better = (negotiate(*plan, original=SCENE, optimized=each) for each in (False, True))
    assert len(better.body) < len(first.body)
    assert is_progressive(better.body)


@pytest.mark.parametrize("accepted", [("webp",), ("avif", "webp")])
def test_the_optimizer_loses_nothing_of_what_must_be_lossless(
    accepted: tuple[FormatName, ...],
) -> None:
    options = step("convert", format="auto", lossless=True)
    better = negotiate(options, accepted=accepted, original=SCENE, optimized=True)
    assert np.array_equal(pillow_pixels(better.body), reference(SCENE))


def test_the_optimizer_uses_the_effort_that_was_asked_for() -> None:
    slow, quick = (
        negotiate(step("convert", format="webp", effort=effort), optimized=True)
        for effort in (6, 0)
    )
    assert len(slow.body) < len(quick.body)


def test_a_quality_by_look_is_found_with_the_options() -> None:
    plain, full = (
        negotiate(step("convert", format="jpeg", quality="good", **options))
        for options in ({}, {"chroma": "444"})
    )
    assert chroma(full.body) == "444"
    assert chroma(plain.body) == "420"
    assert full.body != plain.body


def test_the_estimate_knows_effort_and_losslessness() -> None:
    pixels = 1_000_000
    for format, (low, high) in EFFORTS.items():
        quick, slow = (
            encode_cost(format, pixels, EncoderOptions(effort=effort)) for effort in (low, high)
        )
        assert 0 < quick < slow
    for format in ("webp", "avif", "jxl"):
        assert encode_cost(format, pixels, EncoderOptions(lossless=True)) > encode_cost(
            format, pixels
        )


def test_an_effort_that_takes_too_long_is_refused_before_anything_is_decoded() -> None:
    plan = REGISTRY.plan([step("resize", width=3000), step("convert", format="avif", effort=9)])
    broken = SCENE[:100]  # its header is whole
    with pytest.raises(OperationNotApplicable, match=r"effort: 9 for avif takes about .* 3 is po"):
        render(
            broken,
            plan,
            Limits(),
            detector=DETECTOR,
            on_cost=lambda _: pytest.fail("the refusal without the effort comes first"),
        )


def test_an_effort_that_takes_too_long_is_refused_where_auto_chooses_the_format() -> None:
    plan = (step("convert", format="auto"), step("encode", encoder="avif", effort=9))
    limits = Limits(render_timeout_seconds=0.0001)
    with pytest.raises(OperationNotApplicable, match="leave it out, or make the result smaller"):
        render(
            PHOTO,
            REGISTRY.plan([SMALL, *plan]).with_accepted_formats(("avif",)),
            limits,
            detector=DETECTOR,
        )


def test_an_expensive_effort_is_scheduled_as_expensive_work() -> None:
    costs: list[float] = []
    for effort in (0, 6):
        plan = REGISTRY.plan([step("convert", format="avif", effort=effort)])
        render(SCENE, plan, Limits(), detector=DETECTOR, on_cost=costs.append)
    assert costs[0] < costs[1]
