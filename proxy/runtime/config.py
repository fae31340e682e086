"""The settings of what exists only while the server runs: sockets and the metrics of workers."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from proxy.errors import ConfigError
from proxy.runtime.private_folder import expand_home


class RuntimeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Files that exist only while the server runs."""

    dir: Annotated[
        str,
        Meta(
            max_length=80,
            description=(
                "Directory for sockets and for the metrics of workers: some megabytes at most. It "
                "must exist. In it the server makes a folder that only its user may enter, and "
                "removes it at the end; those of servers that were killed are removed by the "
                "next one. Empty means the temporary directory of the system "
                "(`TMPDIR`, `/tmp`)."
            ),
        ),
    ] = ""

    def directory(self) -> Path:
        """Return the directory. Raises ConfigError where it is missing or not writable."""
        if not self.dir:
            try:
                return Path(tempfile.gettempdir())
            except FileNotFoundError as error:
                raise ConfigError(
                    "FRAMEKEEP_RUNTIME_DIR is not set, and no temporary directory is writable for "
                    f"user {os.geteuid()}: set it to a folder in memory such as /dev/shm, or mount "
                    "a writable folder at /tmp"
                ) from error
        try:
            path = expand_home(self.dir)
        except ConfigError as error:
            raise ConfigError(f"FRAMEKEEP_RUNTIME_DIR: {error}") from error
        if not path.is_dir():
            raise ConfigError(f"FRAMEKEEP_RUNTIME_DIR={self.dir!r}: the directory does not exist")
        if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            raise ConfigError(
                f"FRAMEKEEP_RUNTIME_DIR={self.dir!r} is not writable for user {os.geteuid()}"
            )
        return path
