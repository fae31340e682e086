from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Flop(Operation, frozen=True):
    """Mirror the picture horizontally: left becomes right."""

    changes_size = False
    nanoseconds_per_pixel = 5

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        return picture.with_frame(picture.image.fliphor())
