"""Placeholders: tiny pictures of the first frame, bounded in bytes."""

from base64 import b64decode

import numpy as np
import pictures
import pytest
from render_helper import DETECTOR, REGISTRY, render_steps, step

from proxy.geometry import Size
from proxy.imaging.frames import FIRST_FRAME
from proxy.imaging.headers import probe
from proxy.imaging.info import read_image_info
from proxy.limits import Limits

NOISE = np.random.default_rng(7).integers(0, 256, (200, 200, 4)).astype(np.uint8)
MOVING = pictures.encode_animation(pictures.moving_square(4, 80, 60))


def placeholder(original: bytes) -> bytes:
    uri = read_image_info(original, Limits(), detector=DETECTOR).lqip
    kind, _, text = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return b64decode(text, validate=True)


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        (pictures.scene(400, 300), (24, 18)),
        (pictures.scene(90, 700), (3, 24)),
        (pictures.plain(5, 1), (5, 1)),
        (pictures.gradient(3000, 2), (24, 1)),
    ],
)
def test_a_placeholder_is_tiny_and_of_the_same_shape(
    pixels: pictures.Pixels, size: tuple[int, int]
) -> None:
    body = placeholder(pictures.encode(pixels))
    found = pictures.decode(body)
    assert (found.shape[1], found.shape[0]) == size
    assert len(body) < 300
    assert np.abs(found[:, :, :3].mean((0, 1)) - pixels.mean((0, 1))).max() < 12
    linked = render_steps(pictures.encode(pixels), step("lqip"))
    assert (linked.format, linked.size) == ("webp", Size(*size))
    assert np.abs(pictures.decode(linked.body).astype(int) - found).mean() < 4


def test_even_noise_keeps_the_bound() -> None:
    original = pictures.encode(NOISE)
    assert len(placeholder(original)) <= 1024
    for more in ((), (step("convert", format="png"),), (step("convert", format="jpeg"),)):
        assert len(render_steps(original, step("lqip", size=64), *more).body) <= 1024


def test_transparency_is_kept() -> None:
    original = pictures.encode(pictures.translucent_scene(200, 100))
    for body in (placeholder(original), render_steps(original, step("lqip")).body):
        alpha = pictures.decode(body)[:, :, 3].astype(int)
        assert alpha[:, 0].min() > 200
        assert alpha[:, -1].max() < 40


def test_an_animation_shows_its_first_frame_and_only_that_is_decoded() -> None:
    for body in (placeholder(MOVING), render_steps(MOVING, step("lqip")).body):
        assert pictures.frame_count(body) == 1
        reds = pictures.decode(body)[:, :, 0].astype(int)
        assert reds[:, :8].max() > 180 > reds[:, 10:].max()
    plan = REGISTRY.plan([step("lqip")])
    assert plan.shown_frames(probe(MOVING)) == FIRST_FRAME


def test_another_frame_and_another_format_can_be_chosen() -> None:
    chosen = step("page", number=4), step("lqip"), step("convert", format="png")
    body = render_steps(MOVING, *chosen).body
    assert probe(body).format == "png"
    reds = pictures.decode(body)[:, :, 0].astype(int)
    assert reds[:, 15:].max() > 180 > reds[:, :12].max()
