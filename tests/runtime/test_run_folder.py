"""The folders of servers that were killed are removed, and no others."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from proxy.runtime.run_folder import RunFolder

OWNER = """
import sys
from pathlib import Path
from proxy.runtime.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.create()
print(folder.path, flush=True)
sys.stdin.read()
"""


def make_old(path: Path) -> None:
    """As a folder in which nothing was made for an hour."""
    time = path.stat().st_mtime - 3600
    os.utime(path, (time, time))


def test_only_the_folder_of_a_killed_server_is_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().decode().strip())
        (folder / "interactive").touch()
        make_old(folder)
        RunFolder(tmp_path).sweep()
        assert folder.is_dir()  # its server runs
        owner.send_signal(signal.SIGKILL)
    RunFolder(tmp_path).sweep()
    assert not folder.exists()


def test_a_folder_that_was_just_made_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "framekeep-run-0123456789ab").mkdir(mode=0o700)
    RunFolder(tmp_path).sweep()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_folder_of_a_server_is_not_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "file").touch()
    (tmp_path / "framekeep-run-0123456789ab").symlink_to(elsewhere)
    (tmp_path / "framekeep-run-0123456789ac").touch()
    (tmp_path / "framekeep-run-0123456789ad").mkdir(mode=0o700)
    (tmp_path / "framekeep-run-0123456789ad").chmod(0o755)
    (tmp_path / "framekeep-models").mkdir(mode=0o700)
    for path in (elsewhere, *tmp_path.glob("framekeep-*")):
        make_old(path)
    before = sorted(tmp_path.rglob("*"))
    RunFolder(tmp_path).sweep()
    assert sorted(tmp_path.rglob("*")) == before


def test_it_removes_its_own_folder_at_the_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.create()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "file").touch()
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_no_error(tmp_path: Path) -> None:
    RunFolder(tmp_path / "missing").sweep()
