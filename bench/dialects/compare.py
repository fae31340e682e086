"""Compare what two servers make of one link: the size, the window, and the look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import pyvips

PHOTOGRAPH = Path(__file__).parents[2] / "tests" / "photographs" / "portrait.jpg"
WIDTH, HEIGHT = 640, 480


class Link(NamedTuple):
    """``shows_window``: whether the result tells by its colors which part it shows."""

    text: str
    shows_window: bool = True


class Rival(Protocol):
    """Another server. A result is an image, or the text of an error."""

    how_to_install: str
    links: Sequence[Link]

    def is_installed(self) -> bool: ...

    def version(self) -> str: ...

    def render(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]: ...

    def render_here(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]: ...


class Comparison(NamedTuple):
    link: str
    sizes: str
    is_size_equal: bool
    window: float | None
    look: float | None
    note: str


def write_originals(folder: Path) -> Mapping[str, Path]:
    """A photograph, and a picture whose red is the column and whose green is the row."""
    folder.mkdir(parents=True, exist_ok=True)
    photograph = pyvips.Image.jpegload_buffer(PHOTOGRAPH.read_bytes())
    photograph = photograph.thumbnail_image(WIDTH, height=HEIGHT, crop="centre")
    ramp = pyvips.Image.xyz(WIDTH, HEIGHT)
    coordinates = (ramp[0] * (255 / WIDTH)).bandjoin([ramp[1] * (255 / HEIGHT), 128])
    paths = {"photograph": folder / "photograph.png", "coordinates": folder / "coordinates.png"}
    photograph = photograph.colourspace("srgb")
    coordinates = coordinates.rint().cast("uchar").copy(interpretation="srgb")
    for name, image in {"photograph": photograph, "coordinates": coordinates}.items():
        paths[name].write_bytes(image.pngsave_buffer(keep=0))
    return paths


def compare(rival: Rival, originals: Mapping[str, Path], folder: Path) -> list[Comparison]:
    results = {
        name: list(
            zip(
                rival.render(rival.links, original),
                rival.render_here(rival.links, original),
                strict=True,
            )
        )
        for name, original in originals.items()
    }
    rows = []
    for number, link in enumerate(rival.links):
        theirs, ours = results["photograph"][number]
        for name, body in (("theirs", theirs), ("ours", ours)):
            if isinstance(body, bytes):
                (folder / f"{number:02}-{name}").write_bytes(body)
        rows.append(_compare(link, theirs, ours, results["coordinates"][number]))
    return rows


def format_markdown(rows: Sequence[Comparison]) -> str:
    lines = ["| link | size | window | look | |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        window = "" if row.window is None else f"{row.window:.1f}"
        look = "" if row.look is None else f"{row.look:.1f}"
        lines.append(f"| `{row.link}` | {row.sizes} | {window} | {look} | {row.note} |")
    return "\n".join(lines)


def _compare(
    link: Link, theirs: bytes | str, ours: bytes | str, coordinates: tuple[bytes | str, bytes | str]
) -> Comparison:
    if isinstance(theirs, str) or isinstance(ours, str):
        texts = [text for text in (theirs, ours) if isinstance(text, str)]
        is_equal = len(texts) == 2
        return Comparison(link.text, "error", is_equal, None, None, "; ".join(texts))
    one, other = _load(theirs), _load(ours)
    if (one.width, one.height) != (other.width, other.height):
        sizes = f"{one.width}x{one.height}, here {other.width}x{other.height}"
        return Comparison(link.text, sizes, False, None, None, "")
    look = float(one.colourspace("lab").dE00(other.colourspace("lab")).avg())
    window = _window(*coordinates) if link.shows_window else None
    return Comparison(link.text, f"{one.width}x{one.height}", True, window, look, "")


def _window(theirs: bytes | str, ours: bytes | str) -> float | None:
    """How far the middle of what is shown is apart, in pixels of the result."""
    if isinstance(theirs, str) or isinstance(ours, str):
        return None
    one, other = _load(theirs), _load(ours)
    ranges = [band.max() - band.min() for band in one.bandsplit()[:2]]
    shifts = [
        abs(mine.avg() - yours.avg()) / max(1.0, extent) * side
        for mine, yours, extent, side in zip(
            one.bandsplit()[:2], other.bandsplit()[:2], ranges, (one.width, one.height), strict=True
        )
    ]
    return max(shifts)


def _load(body: bytes) -> pyvips.Image:
    image = pyvips.Image.pngload_buffer(body).colourspace("srgb")
    return image.flatten(background=[255, 255, 255]) if image.hasalpha() else image
