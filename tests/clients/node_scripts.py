"""Runs the scripts of the folder ``node`` with the clients of scripts/install-node-clients."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
