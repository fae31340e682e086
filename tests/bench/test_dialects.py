"""`bench/dialects` sees another size, another window and another look."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import pyvips
from compare import Comparison, Link, compare, write_originals

Change = Callable[[pyvips.Image], pyvips.Image]


class OneLink:
    links: Sequence[Link] = (Link("x"),)
    how_to_install = ""

    def __init__(self, here: Change) -> None:
        self.here = here

    def is_installed(self) -> bool:
        return True

    def version(self) -> str:
        return ""

    def render(self, _links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        return [load(original).crop(100, 100, 200, 100).pngsave_buffer()]

    def render_here(self, _links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        return [self.here(load(original)).pngsave_buffer()]


def load(path: Path) -> pyvips.Image:
    return pyvips.Image.pngload_buffer(path.read_bytes())


def compared(folder: Path, here: Change) -> Comparison:
    return compare(OneLink(here), write_originals(folder), folder)[0]


def test_equal_results_have_no_difference(tmp_path: Path) -> None:
    row = compared(tmp_path, lambda image: image.crop(100, 100, 200, 100))
    assert (row.is_size_equal, row.window, row.look) == (True, 0, 0)


def test_a_shifted_window_is_measured_in_pixels(tmp_path: Path) -> None:
    row = compared(tmp_path, lambda image: image.crop(110, 100, 200, 100))
    assert row.window == pytest.approx(10, abs=0.5)
    assert row.look is not None
    assert row.look > 1


def test_another_size_and_another_color_are_seen(tmp_path: Path) -> None:
    row = compared(tmp_path, lambda image: image.crop(100, 100, 200, 90))
    assert (row.is_size_equal, row.sizes) == (False, "200x100, here 200x90")
    row = compared(tmp_path, lambda image: image.crop(100, 100, 200, 100).invert())
    assert row.look is not None
    assert row.look > 5
