"""Detect the subject of a picture: faces, people, animals, objects, and what stands out.

The result is boxes and weights; nothing that distinguishes one person's face from another's is
computed. The detectors are listed in `proxy.smartcrop.registry`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import NamedTuple, Protocol

import pyvips

from proxy.smartcrop.frame import Frame, to_frame
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.registry import DETECTORS, DetectorSpec
from proxy.smartcrop.subject import Region, RegionKind, Subject

_FINDERS: Mapping[RegionKind, str] = {"face": "faces", "saliency": "saliency"}
"""What finds the kinds of regions; the others are objects."""

_MIN_SIDE = 16  # pixels; nothing is detected in smaller pictures


class RegionDetector(Protocol):
    """Finds regions in a picture; equal frames give equal regions."""

    def __call__(self, frames: Sequence[Frame], /) -> Sequence[Region]:
        """Find what any of the frames shows; there is at least one, and all have one size.

        The numbers in regions are Python floats, because NumPy's cannot be encoded.
        """
        ...


class _Detector(NamedTuple):
    """A detector, what it finds, and what of this other detectors find instead of it."""

    detect: RegionDetector
    finds: Sequence[str]
    taken: Collection[str]


class SubjectDetector:
    """Runs the detectors that are installed; they are loaded when first needed, and stay loaded."""

    def __init__(
        self,
        models: ModelsConfig | None = None,
        detectors: Sequence[DetectorSpec] = DETECTORS,
    ) -> None:
        self._models = models or ModelsConfig()
        self._specs = detectors

    def load(self) -> None:
        """Load the detectors now, so that no request waits for it, and forked processes share them.

        Raises ValueError when a model file is not of the expected kind.
        """
        _ = self._detectors

    def detect(self, *frames: pyvips.Image) -> Subject:
        """Find the subject in one or more frames of a picture: what any of them shows.

        Frames are upright, 8-bit sRGB with three bands, or four with alpha, of any size, all of the
        same.
        """
        has_classes = "classes" in self._found
        if min(frames[0].width, frames[0].height) < _MIN_SIDE:
            return Subject(has_classes=has_classes)
        scaled = [to_frame(frame) for frame in frames]
        if min(scaled[0].pixels.shape[:2]) < _MIN_SIDE:
            return Subject(has_classes=has_classes)
        regions = (
            region
            for detector in self._detectors
            for region in detector.detect(scaled)
            if _finder(region.kind) not in detector.taken
        )
        return Subject(tuple(regions), has_classes)

    def can_find(self, kind: RegionKind) -> bool:
        """Whether a detector for that kind is installed."""
        return _finder(kind) in self._found

    @cached_property
    def _found(self) -> frozenset[str]:
        """What the installed detectors find."""
        return frozenset(each for one in self._detectors for each in one.finds)

    @cached_property
    def _detectors(self) -> Sequence[_Detector]:
        """Those that are installed and find something that none before them does."""
        loaded: list[_Detector] = []
        found: set[str] = set()
        for spec in self._specs:
            if found.issuperset(spec.finds):
                continue
            detect: RegionDetector | None = import_module(spec.module).load_detector(self._models)
            if detect is not None:
                loaded.append(_Detector(detect, spec.finds, found.intersection(spec.finds)))
                found.update(spec.finds)
        return loaded


def _finder(kind: RegionKind) -> str:
    return _FINDERS.get(kind, "objects")
