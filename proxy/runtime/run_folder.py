"""The folder of a running server, for its sockets and the metrics of its workers.

The process that made it holds a lock on it until it ends, in whatever way. So the folder of a
server that was killed can be told from that of one that runs, and the next server removes it.
"""

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import stat
import time
from pathlib import Path

logger = logging.getLogger("framekeep.run_folder")

_NAME = re.compile(r"framekeep-run-[0-9a-f]{12}")

_MIN_AGE_SECONDS = 60.0
"""A younger folder may belong to a server that starts and is about to lock it."""


class RunFolder:
    """``path`` is chosen at once; `create` makes the folder."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.path = parent / f"framekeep-run-{secrets.token_hex(6)}"
        self._lock: int | None = None

    def create(self) -> None:
        """Make the folder, which only this user may enter. Raises OSError."""
        self.path.mkdir(mode=0o700)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a file system without locks: nobody will remove it
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def sweep(self) -> None:
        """Remove the folders of servers of this user, in the same place, that were killed."""
        try:
            entries = [*self._parent.iterdir()]
        except OSError:
            return
        for path in entries:
            if _NAME.fullmatch(path.name) and _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
                logger.info("folder of a server that was killed removed (%s)", path)


def _is_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # of another user, or gone
        return False
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != stat.S_IRWXU:
            return False
        if time.time() - status.st_mtime < _MIN_AGE_SECONDS:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is locked
        return False
    finally:
        os.close(descriptor)
    return True
