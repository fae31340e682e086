"""The environment of a render process, for scripts that measure what is done in one."""

from __future__ import annotations

import os
import sys

from proxy.renderers import renderer_environment


def be_one() -> None:
    """Begin anew with that environment: what a library reads at its start cannot be set later."""
    wanted = {**os.environ, **renderer_environment(os.environ), "PYTHONPATH": ""}
    if os.environ != wanted:
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)  # noqa: S606 - ourselves
