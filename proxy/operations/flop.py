from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Flop(Operation, frozen=True):
    """Mirror left to right."""

    def apply(self, picture: Picture) -> Picture:
        return picture.reframed(picture.image.fliphor())
