"""Where the faces, people, animals and objects of a picture are, to be covered in every frame.

A smart crop is content with the main subject. What is covered must be found as completely as the
detectors can: large pictures are searched part by part, and animations frame by frame.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal

import pyvips
from msgspec import Meta

from proxy.errors import OperationNotApplicable
from proxy.geometry import Size
from proxy.imaging.alpha import ImageFunction
from proxy.imaging.cover import Outline, cover
from proxy.imaging.picture import DETECTION_SIZE, Picture
from proxy.operations.operation import Operation
from proxy.smartcrop.subject import Region, RegionKind

DetectionKind = Annotated[
    Literal["face", "person", "animal", "object", "auto"],
    Meta(
        description="What is covered. A face counts as a person, too. `auto` covers all that the "
        "installed detectors find: faces, people, animals and objects."
    ),
]
IfNone = Annotated[
    Literal["keep", "cover", "error"],
    Meta(
        description="What happens where nothing is found: `keep` leaves the picture as it is, "
        "`cover` covers all of it, `error` answers with 422."
    ),
]

_KINDS: dict[str, tuple[RegionKind, ...]] = {
    "face": ("face",),
    "person": ("face", "person"),
    "animal": ("animal",),
    "object": ("object",),
    "auto": ("face", "person", "animal", "object"),
}
_MAX_SEARCHED_FRAMES = 60
_CROWD = 16
"""As many faces as a detector returns at most: there may be more."""
_MAX_PARTS = 3  # a side
_PART_OVERLAP = 1.3  # so that a face at the edge of a part is whole in the next one
_MIN_COMMON_SHARE = 0.4  # of two boxes that show the same thing
_SECONDS_PER_SEARCH = 0.08

_FACE_SHAPE = (2, 1.8)
"""Boxes of faces end at forehead and chin; hair and ears help to recognize somebody, too."""
_OTHER_SHAPE = (6, 1.2)
"""Just around the corners of the box, and a little farther."""


class CoverDetections(Operation, frozen=True):
    """Base of the operations that cover what is found."""

    def uses_detection(self) -> bool:
        return True

    def fixed_seconds(self, size: Size, frames: int) -> float:
        """CPU time of the detectors."""
        parts = _part_count(size) ** 2
        return _SECONDS_PER_SEARCH * (
            min(frames, _MAX_SEARCHED_FRAMES) if frames > 1 else 1 + parts
        )

    def required_size(self, natural: Size) -> Size | None:
        return natural


def cover_detections(
    picture: Picture,
    name: str,
    kind: str,
    if_none: str,
    covering: Callable[[float], ImageFunction],
) -> Picture:
    """Cover what is found of that kind in every frame.

    ``covering`` gives the function for a shorter side in pixels. ``name`` is the operation's.
    Raises OperationNotApplicable where no detector knows the kind, or nothing is found and that is
    an error.
    """
    _check_detectors(picture, name, kind)
    picture, found = _find(picture, _KINDS[kind])
    if not any(found) and if_none == "keep":
        return picture
    if not any(found) and if_none == "error":
        raise OperationNotApplicable(f"{name}: no {kind} is found (if_none is error)")
    size = picture.frame_size
    frames = iter(found)

    def cover_frame(frame: pyvips.Image) -> pyvips.Image:
        outlines = [_outline(region) for region in next(frames)]
        for outline in outlines:
            frame = cover(frame, outline, covering(outline.short_side(size)))
        return frame

    def cover_all(frame: pyvips.Image) -> pyvips.Image:
        return covering(min(size.width, size.height))(frame)

    function = cover_frame if any(found) else cover_all
    return picture.with_pixels(picture.map_frames(function, mixes_pixels=True))


def _check_detectors(picture: Picture, name: str, kind: str) -> None:
    needed = _KINDS[kind][-1] if kind != "auto" else "face"
    if not picture.detector.can_find(needed):
        raise OperationNotApplicable(
            f"{name}: kind: no detector for {needed} is installed on this server, so nothing would "
            "be covered; `framekeep models install` installs one (FRAMEKEEP_MODELS_DIR)"
        )


def _find(
    picture: Picture, kinds: tuple[RegionKind, ...]
) -> tuple[Picture, Sequence[Sequence[Region]]]:
    """The picture in memory, and the regions of each of its frames."""
    if picture.animation is None:
        is_known = picture.subject is not None
        picture, subject = picture.detect_subject()
        picture = picture.materialize() if is_known else picture
        regions = [region for region in subject.regions if region.kind in kinds]
        is_crowd = sum(region.kind == "face" for region in regions) >= _CROWD
        parts = _search_parts(picture, kinds, is_crowd=is_crowd)
        return picture, [_merge([*regions, *parts])]
    picture = picture.materialize()
    count = picture.frame_count
    step = -(-count // _MAX_SEARCHED_FRAMES)
    searched = [
        _search(picture, picture.frame(index), kinds)
        for index in sorted({*range(0, count, step), count - 1})
    ]
    # What is missed in one frame is mostly found in the one before or after it.
    return picture, [
        _merge(region for regions in searched[max(0, at - 1) : at + 2] for region in regions)
        for at in (-(-index // step) for index in range(count))
    ]


def _search(
    picture: Picture, image: pyvips.Image, kinds: tuple[RegionKind, ...]
) -> Sequence[Region]:
    found = picture.detector.detect(image).regions
    return [region for region in found if region.kind in kinds]


def _search_parts(
    picture: Picture, kinds: tuple[RegionKind, ...], *, is_crowd: bool
) -> Sequence[Region]:
    """What is too small for the detectors in the whole of a large picture."""
    image, size = picture.image, picture.frame_size
    count = _part_count(size) or (2 if is_crowd else 0)
    if not count:
        return ()
    width = min(size.width, round(size.width / count * _PART_OVERLAP))
    height = min(size.height, round(size.height / count * _PART_OVERLAP))
    found: list[Region] = []
    for row in range(count):
        for column in range(count):
            left = (size.width - width) * column // (count - 1)
            top = (size.height - height) * row // (count - 1)
            part = image.crop(left, top, width, height)
            found += [
                Region(
                    (left + region.left * width) / size.width,
                    (top + region.top * height) / size.height,
                    (left + region.right * width) / size.width,
                    (top + region.bottom * height) / size.height,
                    region.weight,
                    region.kind,
                )
                for region in _search(picture, part, kinds)
            ]
    return found


def _part_count(size: Size) -> int:
    """Into how many parts a side is cut; 0 where the detectors see all detail in the whole."""
    count = min(_MAX_PARTS, max(size.width, size.height) // DETECTION_SIZE.width)
    return count if count > 1 else 0


def _merge(regions: Iterable[Region]) -> Sequence[Region]:
    """One region around those that show the same thing."""
    merged: list[Region] = []
    for region in regions:
        for at, other in enumerate(merged):
            if other.kind == region.kind and _common_share(region, other) > _MIN_COMMON_SHARE:
                merged[at] = Region(
                    min(region.left, other.left),
                    min(region.top, other.top),
                    max(region.right, other.right),
                    max(region.bottom, other.bottom),
                    max(region.weight, other.weight),
                    region.kind,
                )
                break
        else:
            merged.append(region)
    return merged


def _common_share(one: Region, other: Region) -> float:
    """The area that both cover, as a share of what either covers."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    common = max(0.0, width) * max(0.0, height)
    return common / (_area(one) + _area(other) - common) if common else 0.0


def _area(region: Region) -> float:
    return (region.right - region.left) * (region.bottom - region.top)


def _outline(region: Region) -> Outline:
    exponent, scale = _FACE_SHAPE if region.kind == "face" else _OTHER_SHAPE
    return Outline(region.left, region.top, region.right, region.bottom, exponent, scale)
