"""ONNX files, where onnxruntime is installed; the only module that knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def available() -> bool:
    """Whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


class Net:
    """A model that runs on one thread: the machine's work is shared out over render processes.

    Raises ValueError when the file is no model that can be run.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - optional, and slow to import

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ValueError(f"{path.name} is not an ONNX model that can be run") from error
        self._input = self._session.get_inputs()[0].name
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        self.input_shape: Sequence[int | str] = self._session.get_inputs()[0].shape

    def __call__(self, planes: Array) -> Mapping[str, Array]:
        """The outputs, by name, for an input of shape (1, 3, height, width)."""
        return dict(
            zip(self.outputs, self._session.run(self.outputs, {self._input: planes}), strict=True)
        )
