"""Programs that stand in front of a server, with configurations that this repository has."""

import os
import shutil
from pathlib import Path

import pytest


def find_program(name: str) -> str:
    """Skips the test where it is not installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def nginx_command(configuration: str, folder: Path) -> list[str | Path]:
    """What runs nginx with these servers, and without a file outside of the folder.

    Its log is the file `log` there.
    """
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{configuration}\n}}"
    )
    nginx = find_program("nginx")
    return [nginx, "-p", folder, "-e", folder / "log", "-c", folder / "nginx.conf"]
