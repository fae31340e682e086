from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class InvertColors(Operation, frozen=True):
    """Turn red, green and blue into their opposites; transparency stays."""

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(on_colours(picture.image, lambda one: one.invert()))
