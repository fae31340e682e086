#!/usr/bin/env python3
"""Compare animated WebP and AVIF: bytes, CPU time and SSIMULACRA2.

    bench/animations.py FOLDER

FOLDER has photographs. Of some of them it makes slow pans, one of them also as a GIF with its
palette, and a slide show; moving shapes are drawn. Prints a Markdown table.
"""

import io
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image, ImageDraw, ImageOps, ImageSequence

from proxy.imaging import avif_sequence, encoders
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.metadata import set_fields
from proxy.imaging.ssimulacra2 import Reference

USUAL, LOSSLESS = EncoderOptions(), EncoderOptions(lossless=True)
SMALL = EncoderOptions(effort=3)
WIDTH, HEIGHT, FRAMES, DELAY = 400, 300, 24, 80
Frames = list[npt.NDArray[np.uint8]]


def main() -> None:
    paths = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix == ".jpg")
    photos = paths[:: max(1, len(paths) // 12)]
    animations = {f"pan over {path.stem}": pan(path) for path in photos[:3]}
    animations["the first as a GIF"] = through_gif(pan(photos[0]))
    animations["slide show"] = [np.asarray(open_photo(path)) for path in photos]
    animations["shapes"] = through_gif(shapes())
    print("| animation | encoder | bytes | ns/pixel | SSIMULACRA2 | worst frame |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, frames in animations.items():
        for encoder, encode in ENCODERS.items():
            compare(name, encoder, frames, encode)


ENCODERS = {
    "webp 80": lambda image: encoders._encode_webp(image, HEIGHT, 80, USUAL),
    "webp lossless": lambda image: encoders._encode_webp(image, HEIGHT, 100, LOSSLESS),
    "avif 63, large": lambda image: avif_sequence.encode_large_sequence(image, HEIGHT, 63, USUAL),
    "avif 63, small": lambda image: avif_sequence.encode_sequence(image, HEIGHT, 63, SMALL),
}


def compare(name: str, encoder: str, frames: Frames, encode: object) -> None:
    image = pyvips.Image.new_from_array(np.concatenate(frames)).copy(interpretation="srgb")
    image = set_fields(image, pages=len(frames), delays=[DELAY] * len(frames), loop=0)
    started = time.process_time()
    body = encode(image)
    seconds = time.process_time() - started
    with Image.open(io.BytesIO(body)) as file:
        decoded = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]
    shown = range(0, min(len(frames), len(decoded)), 5)
    scores = [Reference(frames[index]).score(decoded[index]) for index in shown]
    nanoseconds = seconds * 1e9 / (image.width * image.height)
    print(
        f"| {name} | {encoder} | {len(body):,} | {nanoseconds:.0f} | {np.mean(scores):.1f} "
        f"| {min(scores):.1f} |",
        flush=True,
    )


def open_photo(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def pan(path: Path) -> Frames:
    """Move and zoom slowly, as in a film."""
    photo = ImageOps.fit(Image.open(path).convert("RGB"), (WIDTH * 2, HEIGHT * 2))
    frames = []
    for index in range(FRAMES):
        scale = 1.3 - 0.008 * index
        left = 0.35 * WIDTH * index / FRAMES
        box = (left, 40, left + WIDTH * scale, 40 + HEIGHT * scale)
        frames.append(photo.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box))
    return [np.asarray(frame) for frame in frames]


def shapes() -> Frames:
    frames = []
    for index in range(FRAMES):
        image = Image.new("RGB", (WIDTH, HEIGHT), (250, 250, 245))
        draw = ImageDraw.Draw(image)
        draw.rectangle((20 + index * 8, 60, 120 + index * 8, 160), fill=(200, 30, 40))
        draw.ellipse((200, 100 + index * 3, 280, 180 + index * 3), fill=(30, 90, 200))
        frames.append(np.asarray(image))
    return frames


def through_gif(frames: Frames) -> Frames:
    first, *rest = map(Image.fromarray, frames)
    output = io.BytesIO()
    first.save(output, "GIF", save_all=True, append_images=rest, duration=DELAY)
    print(f"A GIF of {len(output.getvalue()):,} bytes:", file=sys.stderr)
    with Image.open(output) as file:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]


if __name__ == "__main__":
    main()
