"""Detect the subject of a picture: faces, people, animals, objects, and what stands out.

The result is boxes and weights; nothing that distinguishes one person's face from another's is
computed. The detectors are listed in `proxy.smartcrop.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Protocol

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
        has_classes = "objects" in self._detectors
        if min(frames[0].width, frames[0].height) < _MIN_SIDE:
            return Subject(has_classes=has_classes)
        scaled = [to_frame(frame) for frame in frames]
        if min(scaled[0].pixels.shape[:2]) < _MIN_SIDE:
            return Subject(has_classes=has_classes)
        regions = (region for detect in self._detectors.values() for region in detect(scaled))
        return Subject(tuple(regions), has_classes)

    def can_find(self, kind: RegionKind) -> bool:
        """Whether a detector for that kind is installed."""
        return _FINDERS.get(kind, "objects") in self._detectors

    @cached_property
    def _detectors(self) -> Mapping[str, RegionDetector]:
        """The first that is installed of those that find the same, by what they find."""
        loaded: dict[str, RegionDetector] = {}
        for spec in self._specs:
            if spec.finds not in loaded:
                detector: RegionDetector | None = import_module(spec.module).load_detector(
                    self._models
                )
                if detector is not None:
                    loaded[spec.finds] = detector
        return loaded
