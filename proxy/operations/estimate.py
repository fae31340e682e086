"""What a plan makes of sizes, and what it costs: found out before anything is decoded.

Operations that change sizes are applied to a picture without pixels. So their results have exactly
the sizes, and raise exactly the errors, that they will have and raise.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import pyvips

from proxy.errors import ImageError, ImageTooLarge
from proxy.formats import FORMATS, FormatName
from proxy.geometry import Size
from proxy.imaging.cost_model import check_effort, decode_cost, encode_cost, search_cost
from proxy.imaging.format_limits import check_encoder_memory
from proxy.imaging.frames import default_format
from proxy.imaging.headers import ImageHeader
from proxy.imaging.picture import OutputOptions, Picture, blank_image
from proxy.imaging.score_targets import SAMPLE_PIXELS
from proxy.imaging.shrink_on_load import DecodedInfo, shrink_factor
from proxy.limits import Limits
from proxy.operations.compress_to_size import CompressToSize
from proxy.operations.convert import Convert
from proxy.operations.encode import Encode
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.operations.quality import Quality
from proxy.smartcrop.subject import RegionKind, Subject

_DETECTION_SECONDS = 0.2
_MAX_ENCODES_TO_FIT = 9
"""How often a picture is encoded until its file has a requested size."""


class _Step(NamedTuple):
    """``size`` is that of a frame after the operation; unless ``is_exact`` it may be smaller.

    ``error`` is what the operation will raise.
    """

    operation: Operation
    size: Size
    is_exact: bool
    error: ImageError | None


class _NoDetector:
    def detect(self, *_frames: pyvips.Image) -> Subject:
        return Subject()

    def can_find(self, _kind: RegionKind) -> bool:
        return True


def check_result_size(size: Size, frames: int, limits: Limits) -> None:
    """Raise ImageTooLarge for a result beyond the limits."""
    if max(size.width, size.height) > limits.max_result_dimension:
        raise ImageTooLarge(
            f"the result is {size}, more than {limits.max_result_dimension} pixels a side "
            "(FRAMEKEEP_LIMITS_MAX_RESULT_DIMENSION)"
        )
    if size.pixels * frames > limits.max_result_pixels:
        raise ImageTooLarge(
            f"the result is {size} in {frames} frames, more than "
            f"{limits.max_result_pixels} pixels (FRAMEKEEP_LIMITS_MAX_RESULT_PIXELS)"
        )


def apply_within_limits(operation: Operation, picture: Picture, limits: Limits) -> Picture:
    """Apply the operation. A picture that grows beyond a limit is rejected without computing it."""
    result = operation.apply(picture)
    if _pixel_count(result.image) > _pixel_count(picture.image):
        check_result_size(result.frame_size, result.frame_count, limits)
    return result


def _pixel_count(image: pyvips.Image) -> int:
    return image.width * image.height


class PlanEstimate:
    """What one plan makes of originals of which only the size is known."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._traces: dict[Size, Sequence[_Step]] = {}

    def check_sizes(self, natural: Size, frames: int, limits: Limits) -> None:
        """Raise the ImageError that the sizes alone make certain; ``natural`` is upright."""
        size = natural
        for step in self._trace(natural):
            if not step.is_exact:
                return
            if step.error is not None:
                raise step.error
            if step.size.pixels > size.pixels:
                check_result_size(step.size, frames, limits)
            size = step.size
        check_result_size(size, frames, limits)
        if self._plan.format is not None and self._plan.format != "auto":
            format: FormatName = self._plan.format
            check_encoder_memory(format, size, frames, limits)

    def check_effort(self, header: ImageHeader, frames: int, limits: Limits) -> None:
        """Raise the ImageError for an effort that certainly takes longer than a render may."""
        format, size = self._plan.format, Size(header.width, header.height)
        if format is None or format == "auto":
            return
        trace = self._trace(size)
        if all(step.is_exact and step.error is None for step in trace):
            size = trace[-1].size if trace else size
            frames = frames if FORMATS[format].animated else 1
            check_effort(format, size.pixels * frames, self._output.encoder(format), limits)

    def check_header(self, header: ImageHeader, frames: int, limits: Limits) -> None:
        """The same by the header alone: the picture may also be shown on its side."""
        try:
            self.check_sizes(Size(header.width, header.height), frames, limits)
        except ImageError as error:
            try:
                self.check_sizes(Size(header.height, header.width), frames, limits)
            except ImageError:
                raise error from None

    def seconds_from_original(self, header: ImageHeader, frames: int) -> float:
        """CPU time to decode an original, to carry out the plan and to encode the result."""
        is_jpeg = header.format == "jpeg"
        fallback: FormatName = "gif" if frames > 1 else "jpeg" if is_jpeg else "png"
        format = self._plan.format or default_format(header)
        output = self._output_format(format, frames, fallback)
        natural, pixels = Size(header.width, header.height), self._decoded_pixels(header)
        return decode_cost(header, frames) + self._seconds(natural, pixels, frames, output)

    def seconds_to_pixels(self, header: ImageHeader, frames: int) -> float:
        """CPU time to decode an image, and to carry out the plan on its first frame."""
        natural = Size(header.width, header.height)
        seconds, _ = self._operation_seconds(natural, self._decoded_pixels(header), 1)
        return decode_cost(header, frames) + seconds

    def _decoded_pixels(self, header: ImageHeader) -> int:
        natural = Size(header.width, header.height)
        if header.format != "jpeg":
            return natural.pixels
        return int(natural.pixels // shrink_factor(natural, self._plan.required_size(natural)) ** 2)

    def seconds_from_pixels(self, decoded: DecodedInfo) -> float:
        """The same for an original that is decoded already."""
        output = self._output_format(self._plan.format or decoded.format, 1, "jpeg")
        return self._seconds(decoded.natural_size, decoded.size.pixels, 1, output)

    def sizes_after(self, natural: Size) -> Sequence[tuple[Operation, Size]]:
        """Each operation with the size after it, as if a `trim` removed nothing."""
        return [(step.operation, step.size) for step in self._trace(natural)]

    def _output_format(self, format: str, frames: int, fallback: FormatName) -> FormatName:
        if format != "auto":
            return FORMATS[format].name
        accepted = self._plan.accepted_formats
        usable = (name for name in accepted if FORMATS[name].animated or frames == 1)
        return next(usable, fallback)

    def _seconds(self, natural: Size, pixels: int, frames: int, output: FormatName) -> float:
        """``pixels`` are those of a decoded frame."""
        frames = frames if FORMATS[output].animated else 1
        seconds, pixels = self._operation_seconds(natural, pixels, frames)
        options = self._output.encoder(output)
        has_bound = any(isinstance(operation, CompressToSize) for operation in self._plan)
        encodes = _MAX_ENCODES_TO_FIT if has_bound else 1
        if self._output.score is not None:
            seconds += search_cost(output, min(pixels, SAMPLE_PIXELS), options)
        return seconds + encodes * encode_cost(output, pixels * frames, options, frames=frames)

    @cached_property
    def _output(self) -> OutputOptions:
        """What the plan says of the output."""
        picture = _without_pixels(Size(1, 1))
        for operation in self._plan:
            if isinstance(operation, Convert | Encode | Quality):
                picture = operation.apply(picture)
        return picture.output

    def _operation_seconds(self, natural: Size, pixels: int, frames: int) -> tuple[float, int]:
        """The seconds of all operations, and the pixels of a frame after them."""
        seconds = _DETECTION_SECONDS if self._plan.uses_detection else 0.0
        for step in self._trace(natural):
            if step.operation.changes_pixels:
                computed = max(pixels, step.size.pixels) * frames
                seconds += step.operation.pixel_cost() * computed / 1e9
                seconds += step.operation.fixed_seconds(step.size, frames)
                pixels = step.size.pixels
        return seconds, pixels

    def _trace(self, natural: Size) -> Sequence[_Step]:
        steps = self._traces.get(natural)
        if steps is None:
            steps = self._traces[natural] = tuple(_apply(self._plan, natural))
        return steps


def _without_pixels(size: Size) -> Picture:
    return Picture(blank_image(size), size, OutputOptions("png"), _NoDetector(), has_pixels=False)


def _apply(plan: Plan, natural: Size) -> Iterator[_Step]:
    picture = _without_pixels(natural)
    is_exact, error = True, None
    for operation in plan:
        if operation.changes_pixels:
            is_exact = is_exact and operation.changes_size is not None
            if operation.changes_size:
                try:
                    picture = operation.apply(picture)
                except ImageError as raised:
                    error = error or raised
        yield _Step(operation, picture.natural_size, is_exact, error)
