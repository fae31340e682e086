from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Flip(Operation, frozen=True):
    """Mirror the picture vertically: top becomes bottom."""

    changes_size = False
    nanoseconds_per_pixel = 5

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        picture = picture.materialize()  # the last row comes first
        return picture.with_frame(picture.map_frames(lambda frame: frame.flipver()))
