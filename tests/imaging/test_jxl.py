"""The header probe reads the size of a JPEG XL, as a codestream and in boxes."""

import pictures
import pytest
from render_helper import render_steps, step

from proxy.errors import BrokenImage
from proxy.imaging.headers import probe

SIGNATURE = bytes.fromhex("0000000c4a584c200d0a870a")


def codestream(width: int, height: int) -> bytes:
    scene = pictures.encode(pictures.scene(width, height))
    return render_steps(scene, step("convert", format="jxl")).body


def box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


@pytest.mark.parametrize("size", [(8, 8), (64, 48), (300, 200), (201, 77), (1000, 500), (40, 256)])
def test_every_encoding_of_the_size_is_read(size: tuple[int, int]) -> None:
    header = probe(codestream(*size))
    assert (header.width, header.height) == size


def test_the_size_is_found_in_boxes() -> None:
    stream = codestream(120, 90)
    start = SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    for boxes in (box(b"jxlc", stream), box(b"Exif", b"xx") + box(b"jxlp", b"\0\0\0\0" + stream)):
        header = probe(start + boxes)
        assert (header.width, header.height) == (120, 90)
    with pytest.raises(BrokenImage):
        probe(start)
