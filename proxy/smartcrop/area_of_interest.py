"""The subject as one box: the area of interest, and what a crop zooms to.

The area is the box with the most evidence for its size: of all boxes on a grid, the one with the
highest sum of what each cell is worth minus a price for its area (maximum subarray, Kadane). It is
grown to contain each face that it touches, with some space around.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.geometry import Box, Size
from proxy.smartcrop.edges import Edges, bounding_box
from proxy.smartcrop.evidence import Evidence

_AREA_PRICE = 0.36  # of the whole picture, as a share of the value of all evidence
_CORE_PRICE = 2.0  # the same, for the core that small results zoom in on
_CORE_VALUE = 0.4  # share of all value in a core that is distinct enough to zoom in on
_CORE_BODY = 0.3  # of the worth of the main body, for further bodies in the core
_GRID_LINE_VALUE = 0.02  # share of all value from which evidence has grid lines of its own
_FACE_SPACE = (0.25, 0.5, 0.3)  # around a face: sides, above, below
_MAIN_FACE = 0.5  # of the largest face's value; the area need not contain smaller faces whole
_MIN_SHARE, _MAX_SHARE = 0.1, 0.99  # of a side of the picture
_DEFAULT = Edges(0.1, 0.1, 0.9, 0.9)

_HEAD_AND_SHOULDERS = (0.6, 0.7, 0.9)  # around a face that is zoomed to: sides, above, below
_FACES_DECIDE = 0.35  # share of all value from which a crop zooms to faces
_EQUAL_FACE = 0.5  # of the largest face's value; a crop zooms to these faces together
_ZOOM_MARGIN = 0.08  # around anything else that is zoomed to


def area_in_pixels(evidence: Sequence[Evidence], picture: Size) -> Box:
    """The area of interest; without evidence, the middle of the picture."""
    edges = find_area(evidence) if evidence else _DEFAULT
    return edges.to_pixels(picture, _MIN_SHARE, _MAX_SHARE)


def core_in_pixels(evidence: Sequence[Evidence], picture: Size) -> Box | None:
    """The box with the densest evidence and the bodies; None where much lies outside of it.

    There is some evidence.
    """
    bodies = [each for each in evidence if each.kind == "body"]
    threshold = _CORE_BODY * max((body.value for body in bodies), default=0.0)
    main = (body.edges for body in bodies if body.value >= threshold)
    core = bounding_box((find_area(evidence, _CORE_PRICE), *main))
    total = sum(each.value for each in evidence)
    if sum(each.value * core.share_of(each.edges) for each in evidence) < _CORE_VALUE * total:
        return None
    return core.to_pixels(picture, 0.0, _MAX_SHARE)


def find_area(evidence: Sequence[Evidence], price: float = _AREA_PRICE) -> Edges:
    """The area of interest; there is some evidence. The higher the price, the smaller it is."""
    grown = [
        each.edges.grow(*_FACE_SPACE).clip() if each.kind == "face" else each.edges
        for each in evidence
    ]
    area = _densest_box(evidence, grown, price)
    faces = [
        (each, space) for each, space in zip(evidence, grown, strict=True) if each.kind == "face"
    ]
    threshold = _MAIN_FACE * max((each.value for each, _ in faces), default=0.0)
    for each, space in sorted(faces, key=lambda face: -face[0].value):
        if each.value >= threshold and space.overlaps(area):
            area = bounding_box((area, space))
    return area


def faces_to_zoom_to(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The main faces, where these decide what a crop zooms to; else none."""
    faces = [each for each in evidence if each.kind == "face"]
    if sum(face.value for face in faces) < _FACES_DECIDE * sum(each.value for each in evidence):
        return []
    threshold = _EQUAL_FACE * max((face.value for face in faces), default=0.0)
    return [face for face in faces if face.value >= threshold]


def head_and_shoulders(faces: Sequence[Evidence]) -> Edges:
    """What a crop at zoom 1 shows of faces; it may reach out of the picture."""
    return bounding_box(face.edges.grow(*_HEAD_AND_SHOULDERS) for face in faces)


def area_with_margin(evidence: Sequence[Evidence]) -> Edges:
    """What a crop at zoom 1 shows where faces do not decide."""
    margins = _ZOOM_MARGIN, _ZOOM_MARGIN, _ZOOM_MARGIN
    return find_area(evidence).grow(*margins).clip()


def _densest_box(evidence: Sequence[Evidence], boxes: Sequence[Edges], price: float) -> Edges:
    """The box whose evidence exceeds the price of its area by most."""
    total = sum(each.value for each in evidence)
    with_lines = [
        box
        for each, box in zip(evidence, boxes, strict=True)
        if each.kind == "saliency" or each.value > _GRID_LINE_VALUE * total
    ] or boxes
    xs = sorted({edge for box in with_lines for edge in (box.left, box.right)})
    ys = sorted({edge for box in with_lines for edge in (box.top, box.bottom)})
    rows = _cell_gains(evidence, boxes, xs, ys, price * total)
    best, area = float("-inf"), _DEFAULT
    for top in range(len(rows)):
        columns = [0.0] * len(rows[0])
        for bottom in range(top, len(rows)):
            columns = [gain + more for gain, more in zip(columns, rows[bottom], strict=True)]
            # Kadane: the interval with the highest sum ends where the running sum is highest.
            running, start = 0.0, 0
            for end, gain in enumerate(columns):
                if running <= 0:
                    running, start = gain, end
                else:
                    running += gain
                if running > best:
                    best = running
                    area = Edges(xs[start], ys[top], xs[end + 1], ys[bottom + 1])
    return area


def _cell_gains(
    evidence: Sequence[Evidence],
    boxes: Sequence[Edges],
    xs: Sequence[float],
    ys: Sequence[float],
    price: float,
) -> list[list[float]]:
    """What each cell between the grid lines is worth, minus the price of its area."""
    columns, rows = len(xs) - 1, len(ys) - 1
    # Differences of density at the corners; running sums over both axes make them densities.
    corners = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    x_index = {x: index for index, x in enumerate(xs)}
    y_index = {y: index for index, y in enumerate(ys)}
    for each, box in zip(evidence, boxes, strict=True):
        if not all(edge in x_index for edge in (box.left, box.right)):
            continue
        if not all(edge in y_index for edge in (box.top, box.bottom)):
            continue
        density = each.value / (box.width * box.height)
        left, right = x_index[box.left], x_index[box.right]
        top, bottom = y_index[box.top], y_index[box.bottom]
        corners[top][left] += density
        corners[top][right] -= density
        corners[bottom][left] -= density
        corners[bottom][right] += density
    gains, densities = [], [0.0] * columns
    for row in range(rows):
        running, height, line = 0.0, ys[row + 1] - ys[row], []
        for column in range(columns):
            running += corners[row][column]
            densities[column] += running
            line.append((densities[column] - price) * height * (xs[column + 1] - xs[column]))
        gains.append(line)
    return gains
