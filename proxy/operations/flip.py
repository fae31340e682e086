from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Flip(Operation, frozen=True):
    """Mirror top to bottom."""

    def apply(self, picture: Picture) -> Picture:
        settled = picture.settled()  # the last line comes first
        return settled.reframed(settled.each(lambda one: one.flipver()))
