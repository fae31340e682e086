"""The components of the whole server, whose status its other processes report in files."""

from pathlib import Path

from proxy.render.ipc import COMPONENT as RENDER_PROCESSES
from proxy.render.ipc import SANDBOX
from proxy.runtime.components import Components, StatusFile

WORKERS = "workers"
"""The HTTP workers, as the supervisor sees them."""


def server_components(directory: Path) -> Components:
    """``directory`` is that of the sockets of the render processes."""
    names = (WORKERS, RENDER_PROCESSES, SANDBOX)
    return {name: StatusFile(directory, name).read for name in names}
