"""The components of a server, each with what it can do at the moment: for readiness and metrics.

The worker that gets the request checks a component itself, or another process of the server reports
it: the supervisor and the fork server write a file for each of theirs that is degraded or down.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from proxy.compat.msgspec import DECODE_ERRORS

State = Literal["ok", "degraded", "down"]


class ComponentStatus(Struct, frozen=True):
    """``degraded``: requests are answered, but not as well. ``down``: send none to this server."""

    state: State = "ok"
    detail: str = ""


OK = ComponentStatus()


class StatusFile:
    """The status of a component, from one process to the others of the server."""

    def __init__(self, directory: Path, component: str) -> None:
        """``directory`` is private to the server."""
        self._path = directory / f"status-{component}"

    def write(self, status: ComponentStatus) -> None:
        """Report the status. Raises OSError."""
        if status == OK:
            self._path.unlink(missing_ok=True)
            return
        unfinished = self._path.with_name(f"{self._path.name}-unfinished")
        unfinished.write_bytes(msgspec.json.encode(status))
        unfinished.rename(self._path)

    def read(self) -> ComponentStatus:
        """Return what was reported last; without a report all is well."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=ComponentStatus)
        except FileNotFoundError:
            return OK
        except (OSError, *DECODE_ERRORS) as error:
            return ComponentStatus("degraded", f"status unknown: {error}")


Components = Mapping[str, Callable[[], ComponentStatus]]
"""How each component is looked at, by name; a look takes microseconds and never blocks."""

NO_COMPONENTS: Components = {}


@runtime_checkable
class HasComponents(Protocol):
    """What has components that readiness and metrics should look at."""

    @property
    def components(self) -> Components: ...
