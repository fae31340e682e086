import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def test_a_killed_writer_leaves_no_wrong_answer(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(BENCH / "crash_consistency.py"),
        "--kills",
        "60",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("| 60 |")
