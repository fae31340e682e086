"""The size of a JPEG XL, as its codestream says it, bare and in boxes."""

import pictures
import pytest
from render_helper import rendered, step

from proxy.errors import BrokenImage
from proxy.imaging.headers import probe

SIGNATURE = bytes.fromhex("0000000c4a584c200d0a870a")


def codestream(width: int, height: int) -> bytes:
    scene = pictures.file(pictures.scene(width, height))
    return rendered(scene, step("convert", format="jxl")).body


def box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


@pytest.mark.parametrize("size", [(8, 8), (64, 48), (300, 200), (201, 77), (1000, 500), (40, 256)])
def test_every_way_of_saying_a_size(size: tuple[int, int]) -> None:
    header = probe(codestream(*size))
    assert (header.width, header.height) == size


def test_in_boxes_whole_or_in_parts() -> None:
    bare = codestream(120, 90)
    start = SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    for boxes in (box(b"jxlc", bare), box(b"Exif", b"xx") + box(b"jxlp", b"\0\0\0\0" + bare)):
        header = probe(start + boxes)
        assert (header.width, header.height) == (120, 90)
    with pytest.raises(BrokenImage):
        probe(start)
