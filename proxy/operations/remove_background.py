from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import pyvips
from msgspec import Meta, structs

from proxy.errors import OperationNotApplicable
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class RemoveBackground(Operation, frozen=True):
    """Make a plain background transparent, or replace it by a color.

    The background is found by color: what the borders of the picture show, and everything similar
    that is connected to them. That works for products and portraits in front of a wall or a
    backdrop. Where the borders show no plain background, or what remains would be rubble, the
    answer is an error that says so; with `if_unclear` `keep` the picture stays as it is. Formats
    without transparency get a white background; convert to png or webp to keep it transparent.
    """

    changes_size = False
    nanoseconds_per_pixel = 90

    aliases: ClassVar[Mapping[str, str]] = {"hex_color": "background_hex_color"}

    background_hex_color: Annotated[
        HexColor | None,
        Meta(description="New color of the background. Without it, the background is transparent."),
    ] = None
    if_unclear: Annotated[
        Literal["error", "keep"],
        Meta(
            description="What happens where the background cannot be told from the subject: "
            "`error` answers with 422 and the reason, `keep` leaves the background as it is."
        ),
    ] = "error"

    def apply(self, picture: Picture) -> Picture:
        # HTTP workers import every operation, and must not import numpy.
        from proxy.imaging.background_removal import (  # noqa: PLC0415
            UnclearBackground,
            remove_background,
        )

        picture = picture.materialize()  # all borders are read first
        try:
            pixels = picture.map_frames(lambda image: self._fill(remove_background(image)))
        except UnclearBackground as error:
            if self.if_unclear == "keep":
                return picture
            raise OperationNotApplicable(
                f"remove_background: {error}; if_unclear=keep leaves such pictures as they are"
            ) from error
        picture = picture.with_pixels(pixels)
        return structs.replace(picture, is_cut_out=self.background_hex_color is None)

    def _fill(self, subject: pyvips.Image) -> pyvips.Image:
        if self.background_hex_color is None:
            return subject
        return subject.flatten(background=parse_color(self.background_hex_color))
