"""The scripts that install Framekeep."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the installation looks at first."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "install", tmp_path / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def install(checkout: Path, python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / "install", *arguments],
        env={**os.environ, "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_refused_in_a_sentence(checkout: Path) -> None:
    old = checkout / "python3.10"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.12 || exit 1\n')
    old.chmod(0o755)
    refused = install(checkout, str(old), "--server")
    assert refused.returncode == 1
    assert "needs Python 3.11 or newer; this is Python 3.10.12" in refused.stderr
    assert "PYTHON=" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there_is_named(checkout: Path) -> None:
    refused = install(checkout, "no-such-python")
    assert refused.returncode == 1
    assert refused.stderr.startswith("no-such-python is not installed")


def test_what_the_tests_need_is_enough_for_the_server(checkout: Path) -> None:
    content = b"".join(
        (checkout / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")
    )
    wanted = f"{hashlib.sha256(content).hexdigest()}  -\n"
    (checkout / ".venv").mkdir()
    stamp = checkout / ".venv" / "installed"
    stamp.write_text(wanted)
    assert install(checkout, "no-such-python", "--server").returncode == 0
    assert install(checkout, "no-such-python").returncode == 0
    stamp.write_text(f"server {wanted}")
    assert install(checkout, "no-such-python", "--server").returncode == 0
    assert install(checkout, "no-such-python").returncode == 1
