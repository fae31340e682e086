"""Runs the scripts of the folder ``node`` with the clients of scripts/install-node-clients."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"
INSTALLED = Path(sys.prefix) / "clients" / "node"


def missing_for_node() -> str:
    """Why no script can run; empty where all can."""
    if shutil.which("node") is None:
        return "node is not on this machine"
    digest = hashlib.sha256((FOLDER / "package.json").read_bytes()).hexdigest()
    stamp = INSTALLED / "installed"
    if not stamp.is_file() or stamp.read_text("utf-8").split()[0] != digest:
        return "the JavaScript clients are not installed; scripts/install-node-clients does it"
    return ""


def check_paths(links: Sequence[Mapping[str, Any]], vectors: Path) -> None:
    """The links are those in the file that the same clients have built before.

    Skips the test where the clients are not installed.
    """
    if not links:
        pytest.skip(missing_for_node())
    clients = {link["client"] for link in links}
    known = [one["path"] for one in json.loads(vectors.read_text()) if one["client"] in clients]
    assert [link["path"] for link in links] == known


def run_node(script: str, *arguments: str) -> Any:
    """What the script prints, as JSON.

    Node reads it from standard input and finds modules from its working directory. A copy beside
    the modules would be written by one test process while another one runs it.
    """
    ran = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "-", *arguments],
        input=(FOLDER / script).read_text("utf-8"), cwd=INSTALLED,
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
