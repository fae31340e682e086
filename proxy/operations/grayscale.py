from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Grayscale(Operation, frozen=True):
    """Take the colours out; how light they are stays."""

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(
            on_colours(picture.image, lambda one: one.colourspace("b-w").colourspace("srgb"))
        )
