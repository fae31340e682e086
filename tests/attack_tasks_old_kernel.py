"""The attacks, on a kernel that has neither Landlock nor user namespaces."""

import errno
from collections.abc import Iterable

from attack_tasks import HANDLERS as ATTACKS

from proxy.render import sandbox


def _unsupported(paths: Iterable[str]) -> None:  # noqa: ARG001 - as what it replaces
    raise OSError(errno.ENOSYS, "Function not implemented")


sandbox._restrict_files = _unsupported
sandbox.make_root = lambda *_: "Operation not permitted"

HANDLERS = ATTACKS
