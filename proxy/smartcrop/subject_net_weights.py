"""The weights of the subject net: a file of the package, written by ``train/export.py``.

The file is compressed with LZMA. For each layer, in the order in which the net makes them, it has
the scale of each filter and the bias of each filter as little-endian float16, and then the weights
as signed bytes, to be multiplied by the scale of their filter.
"""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

WEIGHTS_FILE = Path(__file__).parents[1] / "data" / "models" / "subject_net.xz"
SHA256 = "e8fa6691019fb7447b373fe22c34950bf144090505da84e7eebbd525af26d23a"


class LayerWeights:
    """The layers of the file, one after the other.

    Raises ValueError for another file than the known one, and OSError where there is none.
    """

    def __init__(self, path: Path = WEIGHTS_FILE, sha256: str = SHA256) -> None:
        compressed = path.read_bytes()
        found = hashlib.sha256(compressed).hexdigest()
        if found != sha256:
            raise ValueError(f"{path.name} has SHA-256 {found}, expected {sha256}")
        self._raw = lzma.decompress(compressed)
        self._offset = 0

    def take(self, filters: int, inputs: int) -> tuple[Array, Array]:
        """The kernel (filters, inputs) and bias (filters,) of the next layer.

        Raises ValueError when the file ends before.
        """
        scale = self._read("<f2", filters).astype(np.float32)
        bias = self._read("<f2", filters).astype(np.float32)
        weights = self._read("i1", filters * inputs).astype(np.float32)
        return weights.reshape(filters, inputs) * scale[:, None], bias

    @property
    def is_exhausted(self) -> bool:
        """Whether all layers were taken."""
        return self._offset == len(self._raw)

    def _read(self, dtype: str, count: int) -> npt.NDArray[np.generic]:
        size = count * np.dtype(dtype).itemsize
        if self._offset + size > len(self._raw):
            raise ValueError("the weights of the subject net end too early")
        values = np.frombuffer(self._raw, dtype, count, self._offset)
        self._offset += size
        return values
