"""Valid files with some bytes changed: the header is read, or the file is rejected."""

import pictures
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors import BrokenImage, NotAnImage
from proxy.formats import sniff
from proxy.imaging.headers import probe

SCENE = pictures.scene(40, 30)
VALID = [
    *(
        pictures.encode(SCENE, form)
        for form in ("png", "gif", "webp", "tiff", "bmp", "ico", "avif")
    ),
    pictures.encode(SCENE, "jpeg", progressive=True),
    pictures.encode(SCENE, "webp", lossless=True),
    pictures.encode_animation(pictures.moving_square(), "gif"),
    pictures.encode_animation(pictures.moving_square(), "webp"),
    pictures.encode_animation(pictures.moving_square(), "png"),
    b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + bytes(60),
    b"<svg xmlns='http://www.w3.org/2000/svg' width='9px' height='9' viewBox='0 0 9 9'/>",
]
NUMBERS = [0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]

OFFSETS = st.one_of(st.integers(0, 80), st.integers(0, 4000))
CHANGES = st.one_of(
    st.tuples(OFFSETS, st.integers(0, 8), st.binary(max_size=12)),
    st.builds(
        lambda at, number, size, order: (
            (at, size, (number % 2 ** (8 * size)).to_bytes(size, order))
        ),
        OFFSETS,
        st.sampled_from(NUMBERS),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from(["big", "little"]),
    ),
    st.tuples(OFFSETS, st.just(10**6), st.just(b"")),
)


@settings(max_examples=1500)
@given(st.sampled_from(VALID), st.lists(CHANGES, min_size=1, max_size=5))
@example(VALID[-2], [(8, 8, b"\xff" * 8)])
def test_a_changed_file_is_read_or_rejected(
    valid: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    body = valid
    for at, size, new in changes:
        body = body[:at] + new + body[at + size :]
    try:
        header = probe(body)
    except (NotAnImage, BrokenImage):
        return
    assert header.width >= 1
    assert header.height >= 1
    assert header.frames >= 1


@given(st.binary(max_size=200))
def test_any_bytes_have_a_known_format_or_none(body: bytes) -> None:
    sniffed = sniff(body)
    try:
        header = probe(body)
    except (NotAnImage, BrokenImage):
        return
    assert sniffed is not None
    assert header.format == sniffed.name
