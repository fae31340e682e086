"""ONNX models by onnxruntime, which is optional; no other module imports it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from proxy.smartcrop.models import ModelsConfig

Array = npt.NDArray[np.float32]

log = logging.getLogger(__name__)


def find_model(models: ModelsConfig, name: str) -> Path | None:
    """The model file of that name, or None when it or onnxruntime is not installed."""
    path = next((path for path in models.installed_files() if path.name == name), None)
    if path is not None and find_spec("onnxruntime") is None:
        log.warning("onnxruntime is not installed: model %s is not used", name)
        return None
    return path


class OnnxModel:
    """A model that runs on one thread: the cores are shared among render processes.

    Raises ValueError when the file is not an ONNX model, or not one that can run here.
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

    def run(self, planes: Array) -> Mapping[str, Array]:
        """The outputs by name, for an input of shape (1, 3, height, width)."""
        outputs = self._session.run(self.outputs, {self._input: planes})
        return dict(zip(self.outputs, outputs, strict=True))
