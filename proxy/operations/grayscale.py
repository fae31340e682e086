from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Grayscale(Operation, frozen=True):
    """Turn colors into grays of the same lightness."""

    changes_size = False
    nanoseconds_per_pixel = 8

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(
            map_rgb(picture.image, lambda rgb: rgb.colourspace("b-w").colourspace("srgb"))
        )
