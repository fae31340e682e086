from typing import Annotated

from msgspec import Meta

from proxy.errors import ImageTooLarge
from proxy.imaging.headers import ImageHeader
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

Megapixels = Annotated[float, Meta(gt=0, le=10_000)]


class Limit(Operation, frozen=True):
    """Refuse originals that are larger than you expect, and cut long animations short.

    The limits of the server hold as well.
    """

    changes_pixels = False
    reads_original = True

    megapixels: Annotated[
        Megapixels | None, Meta(description="Pixels of a frame that the original has at most.")
    ] = None
    size_in_bytes: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Bytes that the original has at most."),
    ] = None
    frames: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None,
        Meta(description="Frames of an animation that are kept: the first ones."),
    ] = None
    frame_megapixels: Annotated[
        Megapixels | None, Meta(description="Pixels that a frame of an animation has at most.")
    ] = None

    def apply(self, picture: Picture) -> Picture:
        return picture  # checked before anything was decoded

    def check_original(self, header: ImageHeader, size_in_bytes: int) -> None:
        if self.size_in_bytes is not None and size_in_bytes > self.size_in_bytes:
            raise ImageTooLarge(
                f"the original has {size_in_bytes} bytes, more than {self.size_in_bytes} "
                "(limit: size_in_bytes)"
            )
        bounds = {"megapixels": self.megapixels}
        if header.animated:
            bounds["frame_megapixels"] = self.frame_megapixels
        for name, bound in bounds.items():
            if bound is not None and header.pixels > bound * 1_000_000:
                raise ImageTooLarge(
                    f"the original is {header.width}x{header.height}, more than {bound:g} "
                    f"megapixels (limit: {name})"
                )

    def frame_range(self, header: ImageHeader) -> tuple[int, int] | None:
        if self.frames is None or not header.animated or header.frames <= self.frames:
            return None
        return 1, self.frames
