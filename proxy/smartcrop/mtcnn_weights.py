"""The weights of MTCNN's networks, read from the ``mtcnn`` package without running any of its code.

The package has them as LZ4-compressed pickles. Unpickling can run code, and importing the package
would import TensorFlow, so neither is done: the file's SHA-256 is compared with the known one,
which fixes the offset of every array in it, and the arrays are plain views of the bytes.
"""

from __future__ import annotations

import hashlib
import math
from importlib.util import find_spec
from pathlib import Path

import lz4.frame
import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class WeightsFile(msgspec.Struct, frozen=True):
    """A file of weights: its digest, and the offset and shape of each array.

    Arrays are little-endian float32; offsets are bytes in the decompressed file.
    """

    name: str
    sha256: str
    arrays: tuple[tuple[int, tuple[int, ...]], ...]


P_NET = WeightsFile(
    name="pnet.lz4",
    sha256="ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    arrays=(
        (240, (3, 3, 3, 10)),
        (1376, (10,)),
        (1472, (10,)),
        (1568, (3, 3, 10, 16)),
        (7376, (16,)),
        (7504, (16,)),
        (7632, (3, 3, 16, 32)),
        (26112, (32,)),
        (26304, (32,)),
        (26496, (32, 4)),
        (27056, (4,)),
        (27136, (32, 2)),
        (27440, (2,)),
    ),
)
R_NET = WeightsFile(
    name="rnet.lz4",
    sha256="cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    arrays=(
        (240, (3, 3, 3, 28)),
        (3312, (28,)),
        (3488, (28,)),
        (3664, (3, 3, 28, 48)),
        (52096, (48,)),
        (52352, (48,)),
        (52608, (2, 2, 48, 64)),
        (101808, (64,)),
        (102128, (64,)),
        (102448, (576, 128)),
        (397408, (128,)),
        (397968, (128,)),
        (398528, (128, 4)),
        (400624, (4,)),
        (400688, (128, 2)),
        (401760, (2,)),
    ),
)
O_NET = WeightsFile(
    name="onet.lz4",
    sha256="94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    arrays=(
        (240, (3, 3, 3, 32)),
        (3744, (32,)),
        (3936, (32,)),
        (4128, (3, 3, 32, 64)),
        (77904, (64,)),
        (78224, (64,)),
        (78544, (3, 3, 64, 64)),
        (226048, (64,)),
        (226368, (64,)),
        (226688, (2, 2, 64, 128)),
        (357808, (128,)),
        (358384, (128,)),
        (358960, (1152, 256)),
        (1538656, (256,)),
        (1539728, (256,)),
        (1540816, (256, 4)),
        (1544960, (4,)),
        (1555424, (256, 2)),
        (1557520, (2,)),
    ),
)


def find_weights_dir() -> Path | None:
    """The folder of weights in the installed ``mtcnn`` package; None when it is not installed."""
    spec = find_spec("mtcnn")  # a top-level package is located on the path and not imported
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "assets" / "weights"
    return folder if folder.is_dir() else None


def load_weights(file: WeightsFile, folder: Path) -> list[Array]:
    """The arrays of one network in the order its layers use them: kernel, bias, slope, and so on.

    Raises ValueError when the file's SHA-256 is not the known one.
    """
    compressed = (folder / file.name).read_bytes()
    found = hashlib.sha256(compressed).hexdigest()
    if found != file.sha256:
        raise ValueError(f"{file.name} has SHA-256 {found}, expected {file.sha256}")
    raw = lz4.frame.decompress(compressed)
    return [
        np.frombuffer(raw, dtype="<f4", count=math.prod(shape), offset=offset).reshape(shape)
        for offset, shape in file.arrays
    ]
