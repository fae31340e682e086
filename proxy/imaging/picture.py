"""Picture: the decoded image that the operations of a plan pass on, with its output options."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, Protocol

import pyvips
from msgspec import Struct, field, structs

from proxy.errors import ImageTooLarge
from proxy.formats import FormatName
from proxy.geometry import Size, contain
from proxy.imaging.alpha import ImageFunction, map_premultiplied
from proxy.imaging.copyright.notice import CopyrightNotice
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.gain_map import GainMap
from proxy.imaging.shrink_on_load import LoadScale, SourceEncoding
from proxy.originals import SourceRef
from proxy.smartcrop.subject import RegionKind, Subject

DETECTION_SIZE = Size(640, 640)
"""Detectors work on at most this size; a larger picture shows them no further subjects."""

_MAX_DETECTION_FRAMES = 3


def detection_size(natural: Size) -> Size:
    """The size at which the subject of a picture is detected; smaller pictures are not enlarged."""
    return min(natural, contain(natural, DETECTION_SIZE))


def check_memory(size: Size, max_pixels: int | None) -> None:
    """Raise ImageTooLarge where more pixels than that would be held in memory at once."""
    if max_pixels is not None and size.pixels > max_pixels:
        raise ImageTooLarge(
            f"all pixels of a picture of {size} are needed at once, more than {max_pixels} "
            "(FRAMEKEEP_LIMITS_MAX_SOURCE_PIXELS_UNSTREAMED); a resize before that needs fewer"
        )


class OutputOptions(Struct, frozen=True):
    """How to encode the picture after the last operation.

    ``format`` "auto" chooses the best of ``accepted_formats`` (what the client accepts beyond jpeg,
    png and gif). ``quality`` is 1 to 100, None for the format's default. ``max_bytes`` bounds the
    file. ``keep_metadata`` names the metadata that is not removed. ``format_qualities`` are for
    single formats, and count before ``quality``. ``negotiates`` is set where the plan asks for
    "auto", and not only the original's format cannot be shown. ``keep_lossless``: "auto" may choose
    a lossless encoding for an original that was lossless. ``score`` is the SSIMULACRA2 that the
    result shall have, instead of a quality. ``encoders`` are options for single formats. With
    ``lossless`` or ``full_chroma``, "auto" takes only what keeps every pixel, or all of its color.
    """

    format: FormatName | Literal["auto"]
    quality: int | None = None
    score: float | None = None
    max_bytes: int | None = None
    accepted_formats: tuple[FormatName, ...] = ()
    keep_metadata: tuple[Literal["copyright", "hdr"], ...] = ()
    format_qualities: Mapping[FormatName, int] = field(default_factory=dict)
    negotiates: bool = False
    keep_lossless: bool = True
    encoders: Mapping[FormatName, EncoderOptions] = field(default_factory=dict)
    lossless: bool = False
    full_chroma: bool = False

    def encoder(self, format: FormatName) -> EncoderOptions:
        """The options for a result in this format."""
        return self.encoders.get(format, EncoderOptions())

    def must_be_lossless(self, format: FormatName) -> bool:
        """Whether a result in this format may lose nothing, whatever its size."""
        return self.lossless or self.encoder(format).lossless


class Animation(Struct, frozen=True):
    """The delay of each frame in milliseconds, and the loop count; 0 loops forever."""

    delays: tuple[int, ...]
    loop: int = 0


@lru_cache(maxsize=256)
def blank_image(size: Size) -> pyvips.Image:
    """A black image, of which no pixel is computed before it is read."""
    return pyvips.Image.black(size.width, size.height, bands=3).copy(interpretation="srgb")


class Detector(Protocol):
    """Finds the subject of a picture."""

    def detect(self, *frames: pyvips.Image) -> Subject:
        """Find the subject in one or more frames together, since one crop serves them all.

        The frames are 8-bit sRGB, upright, with or without alpha, all of one size.
        """
        ...

    def can_find(self, kind: RegionKind) -> bool:
        """Whether a detector for that kind is installed."""
        ...


class Picture(Struct, frozen=True):
    """An image on its way through the plan.

    ``image`` is 8-bit sRGB, upright, with three bands, or four (straight alpha). The frames of an
    animation are below each other, each ``image.height / frame_count`` tall.

    ``natural_size`` is the size that one frame represents. After shrink-on-load the pixels are
    fewer, as ``load_scale`` says, and a drawing was rasterized at the size that is required; from
    the first operation that changes pixels on, the two are equal.

    ``subject`` is the subject of this very frame, None until it was detected. ``is_full_frame``
    holds while nothing of the original was cropped or added; ``detected_subject`` is what was
    detected then, during this render. ``crop_reason`` is what placed a subject-aware crop.

    ``source`` is how the original was coded, None if that is not known.

    ``extra_images`` are the further images that operations need. ``unmodified_format`` is the
    original's format while every pixel is as it was coded there. ``is_cut_out`` says that the
    background was made transparent. ``copyright`` is what the original says about its rights.
    ``max_pixels_in_memory`` is how many pixels may be computed at once, None for any number.
    ``gain_map`` is there where the plan keeps it and the original has one.
    ``pixel_ratio`` is the device pixel ratio that `thumbnail` reached.

    Without ``has_pixels`` only sizes count, and nothing is computed.
    """

    image: pyvips.Image
    natural_size: Size
    output: OutputOptions
    detector: Detector
    load_scale: LoadScale = LoadScale()
    subject: Subject | None = None
    animation: Animation | None = None
    crop_reason: str = ""
    is_full_frame: bool = True
    is_cut_out: bool = False
    detected_subject: Subject | None = None
    extra_images: Mapping[SourceRef, pyvips.Image] = field(default_factory=dict)
    unmodified_format: FormatName | None = None
    copyright: CopyrightNotice = CopyrightNotice()
    max_pixels_in_memory: int | None = None
    pixel_ratio: float = 1.0
    has_pixels: bool = True
    source: SourceEncoding | None = None
    gain_map: GainMap | None = None

    @property
    def frame_count(self) -> int:
        return len(self.animation.delays) if self.animation else 1

    @property
    def frame_size(self) -> Size:
        """The size of one frame in pixels as it is in memory; see ``natural_size``."""
        return Size(self.image.width, self.image.height // self.frame_count)

    def frame(self, index: int) -> pyvips.Image:
        """The pixels of one frame, counted from 0."""
        height = self.frame_size.height
        return self.image.crop(0, index * height, self.image.width, height)

    def with_first_frames(self, count: int) -> "Picture":
        """The animation with no more than so many frames."""
        if self.animation is None or count >= self.frame_count:
            return self
        height = count * self.frame_size.height
        return structs.replace(
            self,
            image=self.image.crop(0, 0, self.image.width, height),
            animation=structs.replace(self.animation, delays=self.animation.delays[:count]),
        )

    def with_pixels(self, image: pyvips.Image) -> "Picture":
        """The same frame with other pixel values: size and subject still hold."""
        return structs.replace(
            self, image=image, unmodified_format=self._format_if_unmodified(image)
        )

    def with_resized(self, image: pyvips.Image) -> "Picture":
        """The whole frame at another size: the subject keeps its relative place."""
        size = Size(image.width, image.height // self.frame_count)
        return structs.replace(
            self,
            image=image,
            natural_size=size,
            load_scale=LoadScale(),
            unmodified_format=self._format_if_unmodified(image),
        )

    def with_frame(self, image: pyvips.Image) -> "Picture":
        """Another frame, cropped or extended: the place of the subject no longer holds."""
        return structs.replace(self.with_resized(image), subject=None, is_full_frame=False)

    def default_background(self, color: str) -> str:
        """The color of new pixels where none was asked for: transparent around a cut-out."""
        return "transparent" if self.is_cut_out and self.image.hasalpha() else color

    def with_crop_reason(self, reason: str) -> "Picture":
        """The same picture, recording what placed its crop."""
        return structs.replace(self, crop_reason=reason)

    def with_pixel_ratio(self, pixel_ratio: float) -> "Picture":
        """The same picture, by whose device pixel ratio later operations multiply pixels."""
        return structs.replace(self, pixel_ratio=pixel_ratio)

    def with_output(self, **changes: object) -> "Picture":
        """The same picture with other output options."""
        return structs.replace(self, output=structs.replace(self.output, **changes))

    def map_frames(self, function: ImageFunction, *, mixes_pixels: bool = False) -> pyvips.Image:
        """Apply the function to every frame separately; all results must have one size.

        Set ``mixes_pixels`` where neighboring pixels are combined, as in resampling and blurring:
        colors are then premultiplied by alpha.
        """
        if mixes_pixels:
            return map_premultiplied(self.image, lambda image: self._map_frames(image, function))
        return self._map_frames(self.image, function)

    def materialize(self) -> "Picture":
        """Compute all pixels now and hold them in memory.

        Needed before pixels are read twice or in another order: decoders stream them once, from top
        to bottom. Raises ImageTooLarge where there are too many.
        """
        if not self.has_pixels:
            return self
        check_memory(Size(self.image.width, self.image.height), self.max_pixels_in_memory)
        return structs.replace(self, image=self.image.copy_memory())

    def detect_subject(self) -> "tuple[Picture, Subject]":
        """The picture and its subject, detected if it is not known; that materializes pixels."""
        if self.subject is not None:
            return self, self.subject
        picture = self.materialize()
        subject = self.detector.detect(*map(picture.frame, self._detection_frames()))
        detected = subject if self.is_full_frame else self.detected_subject
        return structs.replace(picture, subject=subject, detected_subject=detected), subject

    def _detection_frames(self) -> list[int]:
        """Indexes of a few frames, spread over the animation."""
        count = min(self.frame_count, _MAX_DETECTION_FRAMES)
        return [index * (self.frame_count - 1) // max(1, count - 1) for index in range(count)]

    def _map_frames(self, image: pyvips.Image, function: ImageFunction) -> pyvips.Image:
        if self.frame_count == 1:
            return function(image)
        height = self.frame_size.height
        frames = [
            function(image.crop(0, index * height, image.width, height))
            for index in range(self.frame_count)
        ]
        return pyvips.Image.arrayjoin(frames, across=1)

    def _format_if_unmodified(self, image: pyvips.Image) -> FormatName | None:
        return self.unmodified_format if image is self.image else None
