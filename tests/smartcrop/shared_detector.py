"""A detector that needs a model, which only the fork server can have loaded."""

import os
from collections.abc import Callable, Sequence

from proxy.smartcrop.frame import Frame
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.subject import Region

LOADED_BY: list[int] = []


def before_fork() -> None:
    LOADED_BY.append(os.getpid())


def load_detector(_models: ModelsConfig) -> Callable[[Sequence[Frame]], list[Region]]:
    return detect


def detect(_frames: Sequence[Frame]) -> list[Region]:
    """Find the whole picture, if the model was loaded once, in another process than this one."""
    if len(LOADED_BY) != 1 or LOADED_BY[0] == os.getpid():
        return []
    return [Region(0.0, 0.0, 1.0, 1.0, 1.0, "object")]
