from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import ImageFunction
from proxy.imaging.picture import Picture
from proxy.operations.blur import Blur
from proxy.operations.detections import CoverDetections, DetectionKind, IfNone, cover_detections

_SIGMA = 1 / 5
"""Of the shorter side of a box. Of 3 cycles of detail across a face 0.1 % is left, less than one
of 255 levels; recognizing somebody takes 5 and more."""


class BlurDetections(CoverDetections, frozen=True):
    """Blur faces, people, animals or objects so that nobody recognizes them.

    An ellipse around each face is blurred, with a soft edge, and around other things their
    rectangle. The blur is as strong as their size asks for, so it cannot be undone at any size of
    the result. Large pictures are searched part by part, animations frame by frame, or, with more
    than 60 frames, every second, third and so on.

    A detector can miss some, above all in profile, in the dark, behind a mask, or where they are
    smaller than 2 % of the picture: look at the result before you rely on it, or let `if_none`
    decide. Put it before a resize, where the detectors see more. Without a detector for the kind,
    the answer is an error.
    """

    changes_size = False
    nanoseconds_per_pixel = 60

    sigma: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(
            description="Standard deviation of the blur that is the least, in pixels. A fifth of "
            "what is covered is the least anyway."
        ),
    ] = None
    kind: DetectionKind = "face"
    if_none: IfNone = "keep"

    def apply(self, picture: Picture) -> Picture:
        return cover_detections(picture, "blur_detections", self.kind, self.if_none, self._blur)

    def _blur(self, short_side: float) -> ImageFunction:
        return Blur(max(self.sigma or 0.0, 1.0, _SIGMA * short_side)).blur
