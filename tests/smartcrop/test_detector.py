"""The eye: faces are found, odd pictures are no error, and little is kept."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pyvips

from proxy.geometry import Size
from proxy.smartcrop import mtcnn_weights
from proxy.smartcrop.detector import Eye
from proxy.smartcrop.placement import place
from proxy.smartcrop.subject import Focus

PORTRAIT = Path(__file__).parents[1] / "photographs" / "portrait.jpg"


@pytest.fixture(scope="module")
def eye() -> Eye:
    return Eye()


@pytest.fixture(scope="module")
def portrait() -> pyvips.Image:
    return pyvips.Image.jpegload_buffer(PORTRAIT.read_bytes()).copy_memory()


def faces(focus: Focus) -> list[tuple[float, float]]:
    return [
        ((region.left + region.right) / 2, (region.top + region.bottom) / 2)
        for region in focus.regions
        if region.kind == "face"
    ]


def test_the_face_of_a_portrait_is_found(eye: Eye, portrait: pyvips.Image) -> None:
    found = faces(eye.look(portrait))
    assert len(found) == 1
    x, y = found[0]
    assert 0.3 < x < 0.65
    assert 0.3 < y < 0.6


def test_a_dark_portrait_is_looked_at_as_well(eye: Eye, portrait: pyvips.Image) -> None:
    assert len(faces(eye.look((portrait * 0.2).cast("uchar")))) == 1


def test_two_looks_see_the_same(eye: Eye, portrait: pyvips.Image) -> None:
    assert eye.look(portrait) == eye.look(portrait) == Eye().look(portrait)


def test_evidence_does_not_depend_on_the_size_of_the_picture(
    eye: Eye, portrait: pyvips.Image
) -> None:
    small, large = faces(eye.look(portrait)), faces(eye.look(portrait.resize(4)))
    assert np.allclose(small, large, atol=0.03)


def test_a_face_keeps_its_head_in_any_window(eye: Eye, portrait: pyvips.Image) -> None:
    focus = eye.look(portrait)
    ((x, y),) = faces(focus)
    for ratio in (Size(1, 1), Size(16, 9), Size(9, 16)):
        placement = place(focus, Size(256, 384), ratio)
        assert placement.decided == "face"
        assert placement.box.left < x * 256 < placement.box.left + placement.box.width
        assert placement.box.top < y * 384 - 40
        assert y * 384 + 20 < placement.box.top + placement.box.height


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 3000), (3000, 1), (2, 2), (15, 15), (16, 16), (40, 900), (9000, 20)],
)
@pytest.mark.parametrize("bands", [3, 4])
def test_odd_pictures_get_a_sane_window(eye: Eye, width: int, height: int, bands: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (height, width, bands), np.uint8)
    image = pyvips.Image.new_from_array(noise).copy(interpretation="srgb")
    box = place(eye.look(image), Size(width, height), Size(16, 9)).box
    assert box.inside(Size(width, height))


def test_a_wholly_transparent_picture_shows_nothing(eye: Eye) -> None:
    image = pyvips.Image.black(200, 200, bands=4).copy(interpretation="srgb").copy_memory()
    assert eye.look(image) == Focus()


def test_a_uniform_picture_shows_nothing(eye: Eye) -> None:
    image = (pyvips.Image.black(300, 200, bands=3) + 90).cast("uchar").copy(interpretation="srgb")
    assert eye.look(image) == Focus()


def test_what_any_frame_shows_is_kept(eye: Eye, portrait: pyvips.Image) -> None:
    blank = (portrait * 0 + 100).cast("uchar")
    focus = eye.look(blank, portrait, blank)
    assert len(faces(focus)) == 1
    assert len(faces(eye.look(portrait, portrait))) == 1


def test_evidence_is_small_and_survives_being_written(eye: Eye, portrait: pyvips.Image) -> None:
    focus = eye.look(portrait)
    packed = msgspec.msgpack.encode(focus)
    assert len(packed) < 8192
    assert msgspec.msgpack.decode(packed, type=Focus) == focus
    assert msgspec.json.decode(msgspec.json.encode(focus), type=Focus) == focus


def test_weights_that_are_not_the_known_ones_are_refused(tmp_path: Path) -> None:
    folder = mtcnn_weights.wheel_folder()
    assert folder is not None
    damaged = bytearray((folder / "pnet.lz4").read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "pnet.lz4").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"pnet\.lz4 is not the file that is known"):
        mtcnn_weights.read(mtcnn_weights.PROPOSAL, tmp_path)


def test_the_package_that_holds_the_weights_is_never_imported() -> None:
    code = (
        "import sys, proxy.smartcrop.detector as e, pyvips;"
        "e.Eye().look(pyvips.Image.new_from_file(sys.argv[1]));"
        "print([m for m in ('mtcnn', 'joblib', 'pickle5', 'tensorflow') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(PORTRAIT)], check=True, capture_output=True, text=True
    )
    assert out.stdout.strip() == "[]"


def test_evidence_and_windows_need_no_numpy() -> None:
    code = "import sys, proxy.smartcrop.placement; print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "False"
