"""Translations of other image servers' settings: one file each, and a line in `MIGRATIONS`."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from proxy.cli.migrations import imagor, imgproxy, thumbor
from proxy.cli.migrations.migration import Migration


class MigrationCommand(NamedTuple):
    """``option`` names the file whose text ``migrate`` translates."""

    option: str
    help: str
    migrate: Callable[[str], Migration]


MIGRATIONS: Mapping[str, MigrationCommand] = {
    "imgproxy": MigrationCommand(
        "--env", "file with imgproxy's environment, a NAME=value in each line", imgproxy.migrate
    ),
    "thumbor": MigrationCommand(
        "--config", "thumbor.conf, which is read and never executed", thumbor.migrate
    ),
    "imagor": MigrationCommand(
        "--env", "file with imagor's environment, a NAME=value in each line", imagor.migrate
    ),
}
