from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Strip(Operation, frozen=True):
    """Remove all metadata. That is the default; `strip` undoes a `keep` before it."""

    changes_pixels = False

    def keeps_hdr(self) -> bool | None:
        return False

    def apply(self, picture: Picture) -> Picture:
        return picture.with_output(keep_metadata=())
