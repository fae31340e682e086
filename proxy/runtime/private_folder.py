"""Folders that only this user may enter, also on a volume that belongs to another user.

A volume of Kubernetes belongs to root, and the server's user may write to it through its group
(``fsGroup``) or because everybody may (``emptyDir``). Any user who can write to the volume could
read and replace its files, so the server uses a folder of its own inside.
"""

import contextlib
import os
import stat
from pathlib import Path

from proxy.errors import ConfigError

_LOST_AND_FOUND = "lost+found"
"""A new ext4 file system has this folder, and nothing else."""


def locate_private_folder(configured: str) -> Path:
    """Return the folder that is used for a configured path; it need not exist yet.

    It is the path itself, or ``framekeep-UID`` below it where another user owns the path and shares
    it with this one. Raises ConfigError where the path begins with ``~`` and there is no home.
    """
    path = expand_home(configured)
    with contextlib.suppress(OSError):
        status = path.stat()
        is_shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.geteuid() and is_shared and _is_writable(path):
            return path / _shared_name()
    return path


def check_private_folder(path: Path) -> None:
    """Raise ConfigError with the reason where `create_private_folder` would; change nothing."""
    if _exists(path):
        _is_open(path)
        return
    parent = next(parent for parent in path.parents if _exists(parent))
    if not _is_writable(parent):
        is_read_only = os.statvfs(parent).f_flag & os.ST_RDONLY
        reason = "is read-only" if is_read_only else f"is not writable for user {os.geteuid()}"
        raise ConfigError(f"{path} cannot be created: {parent} {reason}")


def create_private_folder(path: Path) -> int:
    """Create the folder where it is missing, make sure it is private, and return its inode.

    An empty folder of this user that is open to others is made private.
    Raises ConfigError with the reason where that is not possible, or OSError.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _is_open(path):
        path.chmod(0o700)  # it is empty, so nobody has put anything there
    return path.stat().st_ino


def _is_open(path: Path) -> bool:
    """Whether others may enter the folder, which is empty then. Raises ConfigError, OSError."""
    user = os.geteuid()
    # Others can write to the folder around this one, and so could replace it by a link.
    status = path.lstat() if path.name == _shared_name() else path.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(f"{path} is not a folder")
    if status.st_uid != user:
        raise ConfigError(
            f"{path} belongs to user {status.st_uid}, this is user {user}; give it to this user, "
            "or let a group of this user write to it"
        )
    is_open = bool(stat.S_IMODE(status.st_mode) & 0o077)
    if is_open and any(entry.name != _LOST_AND_FOUND for entry in path.iterdir()):
        raise ConfigError(f"{path} is open to other users; empty it, or run: chmod 700 {path}")
    return is_open


def expand_home(configured: str) -> Path:
    """Replace ``~`` at the start. Raises ConfigError where this user has no home directory."""
    try:
        return Path(configured).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{configured} cannot be used: user {os.geteuid()} has no home directory; set an "
            "absolute path"
        ) from error


def _shared_name() -> str:
    return f"framekeep-{os.geteuid()}"


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK, effective_ids=True)
