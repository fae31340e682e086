from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Strip(Operation, frozen=True):
    """Drop all metadata, which is what happens anyway unless `keep` came before."""

    touches_pixels = False

    def apply(self, picture: Picture) -> Picture:
        return picture.packaged(keep=())
