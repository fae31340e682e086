"""The originals: 12-megapixel photographs and what else an image server meets, made once.

Photographs are enlarged from pictures beside the repository where they are, else from the sample
photograph; grain is laid over them, since an enlarged picture alone has no fine detail and would
be half as many bytes as a camera's.
"""

from __future__ import annotations

from pathlib import Path

import pyvips

REPOSITORY = Path(__file__).parents[2]
_SMALL = REPOSITORY.parent / "shared" / "eval" / "smartcrop-dev" / "images"
_SAMPLE = REPOSITORY / "proxy" / "data" / "demo" / "beach.jpg"
_PHOTOS = 3
_WIDTH, _HEIGHT = 4000, 3000
_GRAIN = 5.0


def corpus(folder: Path) -> dict[str, Path]:
    """The originals by name; made when they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        name: folder / name
        for name in (
            *(f"photo{number}.jpg" for number in range(_PHOTOS)),
            "progressive.jpg",
            "cmyk.jpg",
            "alpha.png",
            "animated.gif",
        )
    }
    if not all(path.exists() for path in made.values()):
        _make(folder)
    return made


def _make(folder: Path) -> None:
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
    pictures = sorted(_SMALL.glob("*.jpg"))
    source = pictures[number * len(pictures) // _PHOTOS] if pictures else _SAMPLE
    image = pyvips.Image.thumbnail(
        str(source), _WIDTH, height=_HEIGHT, crop="centre", size="both"
    ).colourspace("srgb")
    grain = pyvips.Image.gaussnoise(_WIDTH, _HEIGHT, sigma=_GRAIN, mean=0, seed=number)
    return (image + grain).cast("uchar").copy(interpretation="srgb").copy_memory()


def _animation(photo: pyvips.Image) -> pyvips.Image:
    """24 frames of a window that wanders over the photograph."""
    small = photo.thumbnail_image(960).copy_memory()
    frames = [small.crop(at * 12, at * 6, 480, 360) for at in range(24)]
    image = pyvips.Image.arrayjoin(frames, across=1).copy()
    image.set_type(pyvips.GValue.array_int_type, "delay", [80] * len(frames))
    image.set_type(pyvips.GValue.gint_type, "loop", 0)
    return image
