from collections.abc import Mapping
from typing import Annotated, ClassVar

import pyvips
from msgspec import Meta

from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class RemoveBackground(Operation, frozen=True):
    """Make a plain background transparent, or replace it by a color.

    The background is found by color: what the borders of the picture show, and everything similar
    that is connected to them. That works for products and portraits in front of a wall or a
    backdrop. In front of a busy scene the result is rough. Formats without transparency get a white
    background; convert to png or webp to keep it transparent.
    """

    changes_size = False
    nanoseconds_per_pixel = 90

    aliases: ClassVar[Mapping[str, str]] = {"hex_color": "background_hex_color"}

    background_hex_color: Annotated[
        HexColor | None,
        Meta(description="New color of the background. Without it, the background is transparent."),
    ] = None

    def apply(self, picture: Picture) -> Picture:
        picture = picture.materialize()  # all borders are read first
        return picture.with_pixels(picture.map_frames(self._remove_background))

    def _remove_background(self, image: pyvips.Image) -> pyvips.Image:
        # HTTP workers import every operation, and must not import numpy.
        from proxy.imaging.background_removal import remove_background  # noqa: PLC0415

        subject = remove_background(image)
        if self.background_hex_color is None:
            return subject
        return subject.flatten(background=parse_color(self.background_hex_color))
