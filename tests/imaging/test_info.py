"""What `info` says of an original is the same on every processor.

`scripts/test` runs these tests a second time without the processor's newer vector instructions.
"""

import os
import sys
from pathlib import Path
from subprocess import run

import numpy as np
import pictures
from render_helper import DETECTOR

from proxy.api.info import body
from proxy.geometry import Size
from proxy.imaging.info import read_image_info
from proxy.limits import Limits

RATIOS = (Size(1, 1), Size(16, 9))


def originals() -> list[bytes]:
    """Pictures with terms of 0 and equal parts: values between two levels are frequent in them."""
    scene = pictures.scene(200, 150)
    mirrored = np.concatenate([scene, scene[:, ::-1]], axis=1)
    drawn = [
        scene,
        mirrored,
        np.concatenate([mirrored, mirrored[::-1]]),
        pictures.gradient(200, 80),
        pictures.translucent_scene(200, 150),
        pictures.plain(60, 40),
        pictures.red_square(128, 128, 32, 32, 64),
    ]
    portrait = Path(__file__).parents[1] / "photographs" / "portrait.jpg"
    return [portrait.read_bytes(), *map(pictures.encode, drawn)]


def described() -> str:
    """The bodies of `info`, one a line."""
    infos = (
        read_image_info(original, Limits(), detector=DETECTOR, aspect_ratios=RATIOS)
        for original in originals()
    )
    return "\n".join(body(info, RATIOS).decode() for info in infos)


def other_processor() -> dict[str, str]:
    """An environment in which libraries use other vector instructions than in this process."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        **os.environ,
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
        "OPENBLAS_CORETYPE": "Prescott" if found else "",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }


def test_info_is_the_same_with_other_vector_instructions() -> None:
    other = run(
        [sys.executable, __file__],
        env=other_processor(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip().splitlines() == described().splitlines()


if __name__ == "__main__":
    sys.stdout.write(described())
