"""Renders docs/overview.webp, the picture at the top of the README."""

from pathlib import Path

import pyvips

from proxy import Framekeep
from proxy.operations.text import FONT

ROOT = Path(__file__).parent.parent
ORIGINAL = (ROOT / "proxy" / "data" / "demo" / "beach.jpg").read_bytes()

WIDTH, HEIGHT = 1240, 470
PAPER, INK, ACCENT = [250, 250, 248], [32, 33, 36], [11, 87, 208]
TOP = 84


def draw_text(
    canvas: pyvips.Image, text: str, left: int, top: int, size: int = 17, *, color: list[int] = INK
) -> pyvips.Image:
    mask = pyvips.Image.text(text, font=f"DejaVu Sans {size}", fontfile=str(FONT), dpi=72)
    ink = mask.new_from_image(color).copy(interpretation="srgb").bandjoin(mask)
    return canvas.composite2(ink, "over", x=left, y=top)


def draw_picture(canvas: pyvips.Image, steps: str, left: int, top: int) -> pyvips.Image:
    rendition = Framekeep().render(ORIGINAL, *steps.split("/"), "convert:png")
    picture = pyvips.Image.new_from_buffer(rendition.body, "")
    return canvas.composite2(picture, "over", x=left, y=top)


def main() -> None:
    canvas = pyvips.Image.black(WIDTH, HEIGHT, bands=3) + PAPER
    canvas = canvas.cast("uchar").copy(interpretation="srgb").addalpha()
    canvas = draw_text(canvas, "One original", 24, 30, 24)
    canvas = draw_picture(canvas, "resize:380:285", 24, TOP)
    canvas = draw_text(canvas, "4000 x 3000 pixels, 416 kB", 24, TOP + 297)
    canvas = draw_text(canvas, "→", 422, TOP + 120, 44, color=ACCENT)
    canvas = draw_text(canvas, "Every size by its link, and the subject stays in it", 490, 30, 24)
    for steps, left, caption in (
        ("smart_crop:150:285", 490, "smart_crop:150:285"),
        (
            "smart_crop:190:190:face:1/round_corners:circle",
            690,
            "smart_crop:190:190:face:1\nround_corners:circle",
        ),
        ("smart_crop:300:158", 916, "smart_crop:300:158"),
    ):
        canvas = draw_picture(canvas, steps, left, TOP)
        height = {490: 285, 690: 190, 916: 158}[left]
        canvas = draw_text(canvas, caption, left, TOP + height + 12, 15, color=ACCENT)
    canvas = draw_picture(canvas, "smart_crop:300:84/grayscale/tint:FFB703", 916, TOP + 201)
    canvas = draw_text(canvas, "smart_crop:300:84  tint:FFB703", 916, TOP + 297, 15, color=ACCENT)
    address = (
        "https://img.example.com/{signature}/smart_crop:300:158/convert:auto/"
        "https://cdn.example.com/u/42.jpg"
    )
    canvas = draw_text(canvas, address, 24, HEIGHT - 34, 19)
    flat = canvas.flatten(background=PAPER)
    (ROOT / "docs" / "overview.webp").write_bytes(flat.webpsave_buffer(Q=86))


if __name__ == "__main__":
    main()
