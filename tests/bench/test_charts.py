"""Charts have a line and a mark for each encoder, inside the picture."""

from xml.etree import ElementTree as ET

import pytest
from charts import Curve, draw_chart

SVG = "{http://www.w3.org/2000/svg}"
NAMES = {"ours": 0, "theirs & others": 5}
CURVES = {
    "ours": Curve([(0.1, 60), (0.2, 80)], (0.2, 80)),
    "theirs & others": Curve([(0.12, 60), (0.3, 85)], (0.12, 60)),
}
COSTS = {"ours": (1.0, 1.0), "theirs & others": (0.5, 1.2)}


@pytest.mark.parametrize("curves", [CURVES, {}])
def test_a_chart_names_axes_and_encoders(curves: dict[str, Curve]) -> None:
    root = ET.fromstring(draw_chart("JPEG", curves, COSTS, NAMES))  # noqa: S314
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"JPEG", "CPU time, ours is 1 (logarithmic)", *NAMES} <= set(texts)
    assert ("SSIMULACRA2, higher is better" in texts) == bool(curves)
    assert len(list(root.iter(f"{SVG}polyline"))) == len(curves)


def test_every_line_is_inside_the_picture() -> None:
    root = ET.fromstring(draw_chart("JPEG", CURVES, COSTS, NAMES))  # noqa: S314
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for line in root.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 < x < width
            assert 0 < y < height


def test_more_bytes_are_to_the_right_and_better_scores_above() -> None:
    root = ET.fromstring(draw_chart("JPEG", CURVES, COSTS, NAMES))  # noqa: S314
    ours = next(root.iter(f"{SVG}polyline")).attrib["points"].split()
    (left, low), (right, high) = (map(float, point.split(",")) for point in ours)
    assert left < right
    assert low > high
