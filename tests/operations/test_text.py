"""Lines, weight, outline and box of `text`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pictures
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from render_helper import REGISTRY, render_pixels, step

from proxy.errors import InvalidLink, InvalidOperation, OperationNotApplicable
from proxy.imaging.dilate import dilate
from proxy.links.parser import StepParser
from proxy.operations.operation import format_operation

BLACK = pictures.encode(pictures.plain(200, 120, (0, 0, 0)))


def write(text: str, **fields: object) -> pictures.Pixels:
    fields = {"size": 24, "position": "center", "margin": 0, **fields}
    return render_pixels(BLACK, step("text", text=text, **fields))


def ink(pixels: pictures.Pixels) -> int:
    return int((pixels[:, :, 0] > 127).sum())


def line_count(pixels: pictures.Pixels) -> int:
    """How many groups of rows have letters."""
    has_ink = (pixels[:, :, 0] > 127).any(axis=1)
    return int((np.diff(has_ink.astype(int)) == 1).sum())


def test_a_line_break_begins_a_new_line() -> None:
    assert [line_count(write(text)) for text in ("MM", "M\nM", "M\r\nM", "M\nM\nM")] == [1, 2, 2, 3]


def test_a_line_break_can_be_written_in_a_link_and_in_no_other_value() -> None:
    (operation,) = StepParser(REGISTRY, {}).parse(["text:one%0Atwo"]).operations
    assert operation == REGISTRY.plan([step("text", text="one\ntwo")]).operations[0]
    assert format_operation(operation) == "text:one%0Atwo"
    for link in ("text:a:hex_color=fff%0A", "watermark:a%3Ab%0A", "filename:a%0A", "text:a%00b"):
        with pytest.raises((InvalidOperation, InvalidLink), match="control characters"):
            StepParser(REGISTRY, {}).parse([link])
    with pytest.raises(InvalidOperation, match="text: hex_color: control characters"):
        REGISTRY.plan([step("text", text="a", hex_color="#fff\n")])


def test_line_spacing_moves_the_lines_apart() -> None:
    def height(spacing: int) -> int:
        rows = np.flatnonzero((write("M\nM", line_spacing=spacing)[:, :, 0] > 127).any(axis=1))
        return int(rows[-1] - rows[0])

    assert height(20) == height(0) + 20


def test_bold_letters_have_more_ink() -> None:
    assert ink(write("Hello", weight="bold")) > 1.2 * ink(write("Hello"))


def test_an_outline_lies_around_the_letters_and_not_on_them() -> None:
    place = {"position": "northwest", "align": "left"}
    plain = write("I", hex_color="#f00", **place)
    outlined = write("I", hex_color="#f00", stroke=5, stroke_hex_color="#0f0", **place)
    letter = np.roll(plain[:, :, 0] > 250, (5, 5), (0, 1))
    assert (outlined[letter][:, 0] > 250).all()
    assert (outlined[letter][:, 1] < 5).all()
    rows, columns = np.nonzero(outlined[:, :, 1] > 250)
    letter_rows, letter_columns = np.nonzero(letter)
    assert letter_columns.min() - columns.min() in (4, 5, 6)
    assert rows.max() - letter_rows.max() in (4, 5, 6)


def test_a_box_lies_behind_the_text_with_its_padding() -> None:
    boxed = write("MM", hex_color="#f00", box_hex_color="#00f", box_padding=10)
    rows, columns = np.nonzero(boxed[:, :, 2] > 127)
    letter_rows, letter_columns = np.nonzero(boxed[:, :, 0] > 127)
    assert letter_rows.min() - rows.min() in (9, 10, 11)
    assert columns.max() - letter_columns.max() in (9, 10, 11)


def test_short_lines_stand_where_align_says() -> None:
    def left(align: str) -> int:
        pixels = write("MMMM\nM", align=align)
        last = np.flatnonzero((pixels[:, :, 0] > 127).any(axis=1))[-1]
        return int(np.flatnonzero(pixels[last, :, 0] > 127)[0])

    assert left("left") < left("center") < left("right")


def test_text_of_many_times_the_picture_is_refused() -> None:
    with pytest.raises(OperationNotApplicable, match="use a smaller size_in_px or fewer lines"):
        write("\n".join("MMMMMM"), size=1000, margin=0, align="left")


@settings(max_examples=30)
@given(st.integers(0, 12), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 29)), max_size=4))
def test_a_mask_grows_by_a_disc(radius: int, points: list[tuple[int, int]]) -> None:
    mask = np.zeros((20, 30), np.uint8)
    for row, column in points:
        mask[row, column] = 100 + row
    grown = dilate(pyvips.Image.new_from_array(mask), radius).numpy()
    rows, columns = np.mgrid[:20, :30]
    expected = np.zeros_like(mask)
    for row, column in points:
        height = np.abs(rows - row)
        span = np.sqrt(np.maximum(0, (radius + 0.5) ** 2 - height**2)) - 0.5
        inside = (height <= radius) & (np.abs(columns - column) <= np.round(span))
        expected = np.maximum(expected, np.where(inside, mask[row, column], 0))
    assert (grown == expected).all()


_WITHOUT_FONTS = """
import sys
from proxy.operations.text import Text
for text in ("Hi", "\\u6f22", "\\u5b57"):
    image = Text(text, size_in_px=60)._render(400, 0.5, 10_000_000)[3]
    image = image.resize(50 / image.width, vscale=50 / image.height)
    sys.stdout.buffer.write(image.write_to_memory())
"""


def test_without_other_fonts_what_the_font_lacks_is_a_box_with_its_code(tmp_path: Path) -> None:
    """As in a container that has no fonts: its own font is enough for Latin letters."""
    config = tmp_path / "fonts.conf"
    config.write_text(f"<fontconfig><cachedir>{tmp_path / 'cache'}</cachedir></fontconfig>")
    drawn = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FONTS],
        env={**os.environ, "FONTCONFIG_FILE": str(config)},
        check=True,
        capture_output=True,
    )
    latin, first, second = np.frombuffer(drawn.stdout, np.uint8).reshape(3, 50, 50)
    for box in (first, second):
        edges = [box[:5].max(0), box[-5:].max(0), box[:, :5].max(1), box[:, -5:].max(1)]
        assert all((edge[5:-5] > 127).all() for edge in edges)
    assert (latin[:5].max(0) < 127).any()
    assert (first != second).any()
