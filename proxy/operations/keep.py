from typing import Literal

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Keep(Operation, frozen=True):
    """Keep what would be dropped: `copyright` is the notice and the author's name, nothing else."""

    touches_pixels = False

    metadata: Literal["copyright"] = "copyright"

    def apply(self, picture: Picture) -> Picture:
        return picture.packaged(keep=(self.metadata,))
