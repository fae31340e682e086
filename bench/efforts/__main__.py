"""Compare the settings of an encoder: bytes at equal SSIMULACRA2 scores, and CPU time.

``python bench/efforts avif`` (or ``jpeg``, ``webp``) prints a Markdown table. Every picture is
encoded at several qualities with every setting; bytes are interpolated at the scores of the
format's first setting. The table has geometric means of bytes and CPU time relative to it.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"

import pyvips

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
WORK = REPOSITORY / "bench" / ".work"
sys.path.insert(0, str(HERE.parent / "speed"))

from statistics_table import format_number, markdown_table

_EVALUATION_IMAGES = REPOSITORY.parent / "shared" / "eval" / "smartcrop-dev" / "images"
_DEMO = REPOSITORY / "proxy" / "data" / "demo"
_QUALITIES = (35, 50, 65, 80, 90)
_SETTINGS: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "avif": {
        "effort 4": {"effort": 4},
        **{f"effort {effort}": {"effort": effort} for effort in (0, 1, 2, 3)},
        **{f"effort {effort}, 10 bits": {"effort": effort, "bitdepth": 10} for effort in (2, 3)},
        **{f"effort {effort}, tune ssim": {"effort": effort, "tune": "ssim"} for effort in (2, 3)},
    },
    "jpeg": {
        "progressive": {"interlace": True, "optimize_coding": True},
        "baseline": {"interlace": False, "optimize_coding": True},
        "baseline, fixed codes": {"interlace": False, "optimize_coding": False},
    },
    "webp": {
        "effort 4": {"effort": 4},
        **{f"effort {effort}": {"effort": effort} for effort in (0, 1, 2, 3, 5, 6)},
        **{
            f"effort {effort}, smart subsampling": {"effort": effort, "smart_subsample": True}
            for effort in (2, 4)
        },
    },
}


_SAVE = {
    "avif": partial(pyvips.Image.heifsave_buffer, compression="av1"),
    "jpeg": pyvips.Image.jpegsave_buffer,
    "webp": pyvips.Image.webpsave_buffer,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", choices=list(_SETTINGS))
    parser.add_argument("--pictures", type=int, default=6, help="number of pictures")
    parser.add_argument("--width", type=int, default=800, help="width they are scaled to")
    parser.add_argument("--setting", action="append", help="only this setting (repeatable)")
    options = parser.parse_args()
    settings = _SETTINGS[options.format]
    first = next(iter(settings))
    selected = {
        name: save_options
        for name, save_options in settings.items()
        if name == first or not options.setting or name in options.setting
    }
    _install()
    pictures = sorted(_EVALUATION_IMAGES.glob("*.jpg")) or sorted(_DEMO.glob("*.jpg"))
    step = max(1, len(pictures) // options.pictures)
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in selected}
    with tempfile.TemporaryDirectory() as folder:
        for picture in pictures[::step][: options.pictures]:
            image = pyvips.Image.thumbnail(str(picture), options.width).colourspace("srgb")
            image = image[:3].copy_memory()
            curves = {
                name: _curve(image, options.format, save_options, Path(folder))
                for name, save_options in selected.items()
            }
            base = curves[first]
            for name, curve in curves.items():
                log_sizes = [
                    math.log(_bytes_at(curve, score) / size)
                    for size, score, _ in base
                    if curve[0][1] <= score <= curve[-1][1]
                ]
                cpu = sum(one[2] for one in curve) / sum(one[2] for one in base)
                if log_sizes:
                    rows[name].append((sum(log_sizes) / len(log_sizes), math.log(cpu)))
            print("efforts:", picture.name, file=sys.stderr, flush=True)
    print(
        markdown_table(
            ["setting", "pictures", "bytes at equal SSIMULACRA2", "CPU"],
            [
                [
                    name,
                    str(len(values)),
                    format_number(math.exp(sum(one for one, _ in values) / len(values))),
                    format_number(math.exp(sum(one for _, one in values) / len(values))),
                ]
                for name, values in rows.items()
                if values
            ],
        )
    )


def _curve(
    image: pyvips.Image, format: str, save_options: Mapping[str, object], folder: Path
) -> list[tuple[int, float, float]]:
    """Bytes, score and CPU seconds for each quality."""
    encoded, seconds = [], []
    for quality in _QUALITIES:
        start = time.process_time()
        encoded.append(_SAVE[format](image, Q=quality, keep=0, **save_options))
        seconds.append(time.process_time() - start)
    scores = _scores(image, encoded, folder)
    return [
        (len(body), score, cpu) for body, score, cpu in zip(encoded, scores, seconds, strict=True)
    ]


def _scores(image: pyvips.Image, encoded: Sequence[bytes], folder: Path) -> list[float]:
    reference = folder / "reference.png"
    image.pngsave(str(reference), compression=1)
    names = []
    for number, body in enumerate(encoded):
        names.append(folder / f"{number}.png")
        pyvips.Image.new_from_buffer(body, "").pngsave(str(names[-1]), compression=1)
    code = (
        "import sys; from ssimulacra2 import compute_ssimulacra2 as c\n"
        "for name in sys.argv[2:]: print(c(sys.argv[1], name))"
    )
    done = subprocess.run(
        [WORK / "metrics" / "bin" / "python", "-c", code, reference, *names],
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(line) for line in done.stdout.split()]


def _bytes_at(curve: Sequence[tuple[int, float, float]], score: float) -> float:
    """Bytes at a score: interpolate their logarithm between the two nearest qualities."""
    for (size, low, _), (larger, high, _) in pairwise(curve):
        if low <= score <= high:
            share = (score - low) / (high - low)
            return math.exp(math.log(size) + share * math.log(larger / size))
    raise ValueError(f"score {score} is outside the curve")


def _install() -> None:
    if not (WORK / "metrics" / "bin" / "python").exists():
        venv = str(WORK / "metrics")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = str(WORK / "metrics" / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", "ssimulacra2"], check=True)


if __name__ == "__main__":
    main()
