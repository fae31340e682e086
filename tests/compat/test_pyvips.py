"""The quick access to images gives what pyvips gives itself."""

import pytest
import pyvips
from pyvips.vobject import VipsObject

import proxy.compat.pyvips  # noqa: F401 - adds the quick access

IMAGES = {
    "bytes": pyvips.Image.black(3, 5, bands=4),
    "floats": pyvips.Image.xyz(7, 2).cast("float"),
    "rgb": pyvips.Image.black(4, 9, bands=3).copy(interpretation="srgb"),
    "16 bits": pyvips.Image.black(1, 1).cast("ushort").copy(interpretation="grey16"),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("name", ["width", "height", "bands", "format", "interpretation"])
def test_a_property_is_that_of_libvips(kind: str, name: str) -> None:
    image = IMAGES[kind]
    assert getattr(image, name) == VipsObject.get(image, name)


def test_an_operation_is_found_again() -> None:
    image = IMAGES["bytes"]
    for _ in range(2):
        assert image.invert().avg() == 255
        assert image.linear([2], [1]).max() == 1


def test_other_names_are_what_they_were() -> None:
    image = IMAGES["bytes"]
    for _ in range(2):
        assert image.xoffset == 0
        assert image.scale == 1.0
        assert not hasattr(image, "no_such_operation")
