"""The available detectors. To add one: write its module, and add its line to `DETECTORS`.

A detector is loaded in a render process, from the name of its module; nothing is imported here, so
HTTP workers can read the list without numpy or any model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec

from msgspec import Struct

from proxy.smartcrop.models import ModelsConfig


class DetectorSpec(Struct, frozen=True, array_like=True):
    """Where a detector is loaded from, and what it finds.

    ``module`` has a function ``load_detector(models: ModelsConfig)`` that returns a
    `proxy.smartcrop.detector.RegionDetector`, or None when its library or model file is not
    installed. ``finds`` is of ``faces``, ``objects``, ``classes`` (of the objects), ``saliency``,
    or anything else. What several detectors find, the first of them finds: the regions of the
    others are not used. ``version`` changes whenever the detector finds something else in equal
    pictures: detections cached under another version are not used.
    """

    name: str
    finds: tuple[str, ...]
    module: str
    version: str = "1"


DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec("yunet", finds=("faces",), module="proxy.smartcrop.yunet"),
    DetectorSpec(
        "yolox", finds=("objects", "classes"), module="proxy.smartcrop.yolox", version="2"
    ),
    DetectorSpec(
        "subject_net",
        finds=("faces", "objects", "saliency"),
        module="proxy.smartcrop.subject_net_detector",
    ),
)


def detector_version(models: ModelsConfig, detectors: Sequence[DetectorSpec] = DETECTORS) -> str:
    """Identify these detectors and model files; others give another version.

    Reads the model files.
    """
    files = models.installed_files() if find_spec("onnxruntime") else ()
    return "-".join(
        (
            *(f"{spec.name}.{spec.version}" for spec in detectors),
            *(hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files),
        )
    )


def detector_imports(
    models: ModelsConfig, detectors: Sequence[DetectorSpec] = DETECTORS
) -> tuple[str, ...]:
    """The modules that a process imports before it can detect."""
    modules = ("proxy.smartcrop.detector", *(spec.module for spec in detectors))
    has_onnx = models.installed_files() and find_spec("onnxruntime")
    return (*modules, "onnxruntime") if has_onnx else modules
