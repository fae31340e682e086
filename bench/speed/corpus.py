"""The originals: photographs of 12 megapixels, and other typical files; they are made once.

Photographs are enlarged from the evaluation images beside the repository, or else from the demo
photograph. Grain is added, because an enlarged picture has no fine detail, and its file would be
half as large as a camera's.
"""

from __future__ import annotations

from pathlib import Path

import pyvips
from paths import REPOSITORY
from spike import make_pictures

_EVALUATION_IMAGES = REPOSITORY.parent / "shared" / "eval" / "smartcrop-dev" / "images"
_DEMO = REPOSITORY / "proxy" / "data" / "demo" / "beach.jpg"
_PHOTOS = 3
_WIDTH, _HEIGHT = 4000, 3000
_GRAIN = 5.0
SPIKE_PICTURES = 1000
"""How many small, distinct pictures there are, ``spike/0.jpg`` and so on."""


def make_originals(folder: Path) -> dict[str, Path]:
    """The originals by name; they are made when they do not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {
        name: folder / name
        for name in (
            *(f"photo{number}.jpg" for number in range(_PHOTOS)),
            "progressive.jpg",
            "cmyk.jpg",
            "alpha.png",
            "animated.gif",
        )
    }
    if not all(path.exists() for path in paths.values()):
        _write_originals(folder)
    small = folder / "spike"
    if not (small / f"{SPIKE_PICTURES - 1}.jpg").exists():
        small.mkdir(exist_ok=True)
        for number, picture in enumerate(make_pictures(SPIKE_PICTURES, seed=1)):
            (small / f"{number}.jpg").write_bytes(picture)
    return paths


def _write_originals(folder: Path) -> None:
    photos = [_photograph(number) for number in range(_PHOTOS)]
    for number, photo in enumerate(photos):
        photo.jpegsave(str(folder / f"photo{number}.jpg"), Q=88, keep=0)
    first = photos[0]
    first.jpegsave(str(folder / "progressive.jpg"), Q=88, interlace=True, keep=0)
    first.icc_export(output_profile="cmyk").jpegsave(str(folder / "cmyk.jpg"), Q=88)
    small = first.thumbnail_image(1600)
    mask = pyvips.Image.gaussmat(0.3 * small.height, 0.001)
    mask = mask.resize(small.width / mask.width, vscale=small.height / mask.height)
    alpha = (mask / mask.max() * 255).cast("uchar")
    small.bandjoin(alpha).copy(interpretation="srgb").pngsave(str(folder / "alpha.png"))
    _animation(first).gifsave(str(folder / "animated.gif"), page_height=360)


def _photograph(number: int) -> pyvips.Image:
    pictures = sorted(_EVALUATION_IMAGES.glob("*.jpg"))
    source = pictures[number * len(pictures) // _PHOTOS] if pictures else _DEMO
    image = pyvips.Image.thumbnail(
        str(source), _WIDTH, height=_HEIGHT, crop="centre", size="both"
    ).colourspace("srgb")
    grain = pyvips.Image.gaussnoise(_WIDTH, _HEIGHT, sigma=_GRAIN, mean=0, seed=number)
    return (image + grain).cast("uchar").copy(interpretation="srgb").copy_memory()


def _animation(photo: pyvips.Image) -> pyvips.Image:
    """24 frames of a window that moves over the photograph."""
    small = photo.thumbnail_image(960).copy_memory()
    frames = [small.crop(at * 12, at * 6, 480, 360) for at in range(24)]
    image = pyvips.Image.arrayjoin(frames, across=1).copy()
    image.set_type(pyvips.GValue.array_int_type, "delay", [80] * len(frames))
    image.set_type(pyvips.GValue.gint_type, "loop", 0)
    return image
