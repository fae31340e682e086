"""Plan: the ordered operations of one image request. Equal requests have equal plans."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

from msgspec import Struct, structs

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.frames import FrameRange, shown_frames
from proxy.imaging.headers import ImageHeader
from proxy.operations.operation import Operation, format_operation
from proxy.originals import SourceRef


class Plan(Struct, frozen=True, dict=True):
    """Operations in the order in which they are carried out.

    ``accepted_formats`` are the formats beyond jpeg, png and gif that the client accepts, best
    first. It is empty unless the output format is negotiated, so that it does not split the cache.
    """

    operations: tuple[Operation, ...] = ()
    accepted_formats: tuple[FormatName, ...] = ()

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    @property
    def format(self) -> FormatName | Literal["auto"] | None:
        """The output format: that of the last operation that sets one; None for the original's."""
        formats = (getattr(operation, "format", None) for operation in reversed(self.operations))
        return next((format for format in formats if format is not None), None)

    @property
    def negotiates_format(self) -> bool:
        """Whether the output format depends on what the client accepts."""
        return self.format == "auto"

    def with_accepted_formats(self, formats: Sequence[FormatName]) -> "Plan":
        """The plan for a client that accepts these formats."""
        return structs.replace(
            self, accepted_formats=tuple(formats) if self.negotiates_format else ()
        )

    @property
    def page_range(self) -> tuple[int, int] | None:
        """First and last frame or page, from the last operation that selects some; None for all."""
        ranges = (operation.page_range() for operation in reversed(self.operations))
        return next((pages for pages in ranges if pages is not None), None)

    @property
    def reads_original(self) -> bool:
        """Whether any operation looks at the original before it is decoded."""
        return any(operation.reads_original for operation in self.operations)

    @property
    def needs_pixels_only(self) -> bool:
        """Whether it needs the decoded original and nothing else, as other plans of it may."""
        return not (
            self.page_range or self.reads_original or self.keeps_hdr or self.extra_sources()
        )

    def frame_range(self, header: ImageHeader) -> tuple[int, int] | None:
        """The frames to decode, where an operation bounds their number; None for all."""
        ranges = (operation.frame_range(header) for operation in self.operations)
        return min((frames for frames in ranges if frames is not None), default=None)

    def sends_original(self, header: ImageHeader) -> bool:
        """Whether the original itself is the result."""
        match self.format:
            case None:
                formats: tuple[str, ...] = (header.format,)
            case "auto":
                formats = self.accepted_formats[:1] or ("jpeg", "png", "gif")
            case format:
                formats = (format,)
        return any(operation.sends_original(header, formats) for operation in self.operations)

    def shown_frames(self, header: ImageHeader) -> FrameRange:
        """The frames or pages of an original with this header that the rendition shows."""
        return shown_frames(header, self.format, self.page_range or self.frame_range(header))

    def required_size(self, natural: Size) -> Size | None:
        """The smallest decoded size that gives the same result; None requires every pixel."""
        first = self._first_on_pixels
        return first.required_size(natural) if first else None

    @property
    def keeps_hdr(self) -> bool:
        """Whether an HDR gain map of the original is kept."""
        choices = (operation.keeps_hdr() for operation in reversed(self.operations))
        return next((choice for choice in choices if choice is not None), False)

    @property
    def uses_detection(self) -> bool:
        """Whether any operation depends on where the subject is."""
        return any(operation.uses_detection() for operation in self.operations)

    @property
    def needs_detection_first(self) -> bool:
        """Whether the subject must be known in the uncropped original."""
        return self._first_on_pixels is not None and self._first_on_pixels.uses_detection()

    @property
    def _first_on_pixels(self) -> Operation | None:
        return next((operation for operation in self.operations if operation.changes_pixels), None)

    def extra_sources(self) -> tuple[SourceRef, ...]:
        """The further images that all operations need, each once."""
        return tuple(
            dict.fromkeys(
                source for operation in self.operations for source in operation.extra_sources()
            )
        )

    @cached_property
    def canonical(self) -> str:
        """The canonical text for cache keys: every field of every operation, defaults included."""
        steps = (format_operation(operation, with_defaults=True) for operation in self.operations)
        return "/".join((*steps, f"accept:{','.join(self.accepted_formats)}"))
