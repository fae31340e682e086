"""Drawings are rasterized at the size of the result."""

from contextlib import suppress

import numpy as np
import pictures
import pytest
import pyvips
from msgspec import structs
from render_helper import render_pixels, render_steps, step

from proxy.errors import ImageError, ImageTooLarge
from proxy.geometry import Size
from proxy.imaging.headers import probe
from proxy.limits import Limits


def svg(width: float | str, height: float | str, inside: str = "", attributes: str = "") -> bytes:
    size = f'width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {attributes}>{inside}</svg>'.encode()


ICON = svg(24, 24, '<path fill="#c00" d="M12 2 L22 22 L2 22 Z"/>', 'viewBox="0 0 24 24"')
BOARD = svg(20, 10, '<rect width="10" height="10"/>', 'shape-rendering="crispEdges"')


def drawn(body: bytes, width: int) -> pictures.Pixels:
    """The drawing at a width, by librsvg alone."""
    image = pyvips.Image.svgload_buffer(body)
    return np.asarray(pyvips.Image.svgload_buffer(body, scale=width / image.width).numpy())


@pytest.mark.parametrize("width", [7, 24, 100, 640])
@pytest.mark.parametrize(
    "operation", [step("resize"), step("resize", fit="fill"), step("thumbnail", enlarge=True)]
)
def test_a_drawing_is_rendered_at_the_size_of_the_result(
    width: int, operation: dict[str, object]
) -> None:
    result = render_pixels(ICON, {**operation, "width": width, "height": width})
    assert (result == drawn(ICON, width)).all()


def test_an_edge_stays_sharp_when_a_drawing_is_enlarged() -> None:
    result = render_pixels(BOARD, step("resize", width=500))
    assert result.shape[:2] == (250, 500)
    assert set(np.unique(result[:, :, 3])) == {0, 255}


def test_fits_keep_the_meaning_that_they_have_for_pixels() -> None:
    assert render_steps(ICON, step("resize", width=90, height=90, fit="inside")).size == Size(
        24, 24
    )
    assert render_steps(BOARD, step("resize", width=90, height=90)).size == Size(90, 90)
    contained = step("resize", width=90, height=90, fit="contain", background="transparent")
    pixels = render_pixels(BOARD, contained)
    assert (pixels[22:67, :45, 3] == 255).all()
    assert (pixels[:22, :, 3] == 0).all()
    assert render_steps(BOARD, step("smart_crop", width=300, height=300)).size == Size(300, 300)
    assert render_steps(BOARD).size == Size(20, 10)


def test_a_huge_drawing_is_accepted_where_the_result_is_small() -> None:
    huge = svg(40_000, 20_000, '<rect width="20000" height="20000"/>')
    assert render_steps(huge, step("resize", width=100)).size == Size(100, 50)
    with pytest.raises(ImageTooLarge, match="40000x20000"):
        render_steps(huge)
    with pytest.raises(ImageTooLarge):
        render_steps(huge, step("flip"))


def test_a_thin_drawing_is_not_rasterized_beyond_the_limits() -> None:
    thin = svg(1, 4000, '<rect width="1" height="4000"/>')
    limits = structs.replace(Limits(), max_source_pixels_unstreamed=100_000)
    result = render_steps(thin, step("resize", width=300, height=300), limits=limits)
    assert result.size == Size(300, 300)


def test_the_width_of_a_line_is_not_taken_for_that_of_the_drawing() -> None:
    header = probe(svg(24, 24, attributes='stroke-width="2" xlink:height="7"'))
    assert (header.width, header.height) == (24, 24)


@pytest.mark.parametrize(
    "inside",
    [
        "<text>&a;</text>",
        '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g><use href="#a"/>',
        '<pattern id="p" fill="url(#p)"/><rect width="9" height="9" fill="url(#p)"/>',
    ],
)
def test_a_drawing_that_refers_to_itself_ends(inside: str) -> None:
    entities = b"".join(
        b'<!ENTITY %c "%s">' % (97 + level, b"&%c;" % (98 + level) * 10) for level in range(9)
    )
    body = b"<!DOCTYPE svg [" + entities + b'<!ENTITY j "x">]>' + svg(9, 9, inside)
    with suppress(ImageError):
        assert render_steps(body, step("resize", width=50)).size == Size(50, 50)
