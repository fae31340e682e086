"""Sizes of `scale_to_box` are those of IPX with sharp."""

from typing import Any

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from render_helper import REGISTRY, render_pixels, step

from proxy.geometry import Size

ORIGINAL = pictures.encode(pictures.scene(80, 60))
SIDES = st.integers(1, 3000)


def size(width: int, height: int, **fields: Any) -> tuple[int, ...]:
    pixels = render_pixels(ORIGINAL, step("scale_to_box", width=width, height=height, **fields))
    return pixels.shape[1::-1]


@pytest.mark.parametrize(
    ("fit", "sizes"),
    [
        # boxes of 40x40, 100x100, 100x30 and 30x90, for a picture of 80x60
        ("cover", [(40, 40), (60, 60), (80, 24), (20, 60)]),
        ("contain", [(40, 40), (60, 60), (80, 24), (20, 60)]),
        ("fill", [(40, 40), (60, 60), (80, 24), (20, 60)]),
        ("inside", [(40, 30), (60, 45), (32, 24), (20, 15)]),
        ("outside", [(53, 40), (80, 60), (80, 60), (80, 60)]),
    ],
)
def test_a_box_larger_than_the_picture_keeps_its_aspect_ratio(
    fit: str, sizes: list[tuple[int, int]]
) -> None:
    boxes = [(40, 40), (100, 100), (100, 30), (30, 90)]
    assert [size(*box, fit=fit) for box in boxes] == sizes


@pytest.mark.parametrize(
    ("position", "corner"),
    [
        ("northwest", (0, 0)),
        ("center", (8, 6)),
        ("southeast", (15, 11)),
        ("0.25,1", (4, 11)),
    ],
)
def test_cover_keeps_the_window_at_the_position(position: str, corner: tuple[int, int]) -> None:
    natural = np.zeros((60, 80, 3), np.uint8)
    natural[..., 0], natural[..., 1] = np.meshgrid(range(80), range(60))
    for axis, box in enumerate([(65, 60), (80, 49)]):
        width, height = box
        fields = {"width": width, "height": height, "position": position}
        pixels = render_pixels(pictures.encode(natural), step("scale_to_box", **fields))
        assert pixels.shape[1::-1] == box
        assert pixels[0, 0, axis] == corner[axis]


def test_with_enlarge_the_box_stays_as_it_is() -> None:
    for fit in ("cover", "contain", "fill"):
        assert size(100, 90, fit=fit, enlarge=True) == (100, 90)
    assert size(160, 160, fit="inside", enlarge=True) == (160, 120)
    assert size(160, 160, fit="outside", enlarge=True) == (213, 160)
    assert size(40, 15, fit="outside", enlarge=True) == (40, 30)


def test_contain_puts_the_picture_where_the_position_says() -> None:
    red = pictures.encode(pictures.plain(80, 60, (255, 0, 0)))
    for position, (top, bottom) in {
        "north": (True, False),
        "south": (False, True),
        "smart": (False, False),
    }.items():
        fields = {"fit": "contain", "position": position, "background": "#0000ff"}
        pixels = render_pixels(red, step("scale_to_box", width=40, height=40, **fields))
        assert (pixels[0, 20, 0] > 200, pixels[39, 20, 0] > 200) == (top, bottom)
        assert pixels[20, 20, 0] > 200


@given(SIDES, SIDES, SIDES, SIDES)
def test_no_side_is_longer_than_the_picture(
    width: int, height: int, box_width: int, box_height: int
) -> None:
    natural = Size(width, height)
    for fit in ("cover", "contain", "fill", "inside", "outside"):
        plan = REGISTRY.plan([step("scale_to_box", width=box_width, height=box_height, fit=fit)])
        required = plan.operations[0].required_size(natural)
        assert required is not None
        assert 1 <= required.width <= width
        assert 1 <= required.height <= height
