from proxy.picture import Picture
from proxy.plan import Operation


class Flop(Operation, frozen=True):
    """Mirror left to right."""

    def apply(self, picture: Picture) -> Picture:
        return picture.reframed(picture.image.fliphor())
