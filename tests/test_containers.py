"""The server as a container runs it: another user's volume, a read-only root, little else.

These tests need root, which makes the volume and the file systems; the server runs as nobody.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from dev_server import dev_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such a volume"),
]

NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"),
    # The interpreter and this tree may be readable for root only.
    *(f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
)

READ_ONLY_ROOT = ("unshare", "--mount", "--propagation=private", "sh", "-ec")
READ_ONLY_SCRIPT = """
mount --bind "$0" /mnt
for path in / /tmp /var/tmp; do
    mount --bind $path $path
    mount -o remount,bind,ro $path
done
cd /
exec "$@"
"""
"""Only the volumes, which are at /mnt, can be written to."""

SETTINGS = {
    "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
    # It would take away what lets user nobody read the interpreter's files.
    "FRAMEKEEP_RENDER_SANDBOX": "false",
}


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two folders of root that the server's group may write to, as with ``fsGroup``."""
    assert shutil.which("setpriv"), "setpriv, of util-linux, is missing"
    for name in ("cache", "run"):
        volume = tmp_path / "volumes" / name
        volume.mkdir(parents=True)
        os.chown(volume, 0, NOBODY)
        volume.chmod(0o2775)
    return tmp_path / "volumes"


@pytest.fixture
def read_only_root(volumes: Path) -> tuple[str, ...]:
    """What a command begins with to see everything but the volumes as read-only."""
    command = (*READ_ONLY_ROOT, READ_ONLY_SCRIPT, str(volumes))
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mounts")
    return command


def framekeep(
    *arguments: str, run_as: tuple[str, ...], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*run_as, sys.executable, "-m", "proxy", *arguments],
        capture_output=True,
        check=False,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            **SETTINGS,
            **environment,
        },
    )


async def test_the_cache_is_a_private_folder_in_a_volume_that_root_owns(volumes: Path) -> None:
    volume, link = volumes / "cache", "/_/resize:20/demo:beach.jpg"
    async with dev_server(volume, environment=SETTINGS, run_as=AS_NOBODY) as server:
        assert (await server.get(link)).headers["x-cache"] == "miss"
        assert (await server.get(link)).headers["x-cache"] == "hit"
    (folder,) = volume.iterdir()
    assert folder.name == f"framekeep-{NOBODY}"
    assert folder.stat().st_uid == NOBODY
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "rendition").is_dir()
    # The next start finds what this one has cached.
    async with dev_server(volume, environment=SETTINGS, run_as=AS_NOBODY) as server:
        assert (await server.get(link)).headers["x-cache"] == "hit"


async def test_with_a_read_only_root_all_files_are_in_the_cache_and_runtime_folders(
    volumes: Path, read_only_root: tuple[str, ...]
) -> None:
    async with dev_server(
        Path("/mnt/cache"),
        environment={**SETTINGS, "FRAMEKEEP_RUNTIME_DIR": "/mnt/run"},
        run_as=(*read_only_root, *AS_NOBODY),
    ) as server:
        link = "/_/resize:20/text:hi/demo:beach.jpg"
        assert (await server.get(link)).headers["x-cache"] == "miss"
        assert (await server.get(link)).headers["x-cache"] == "hit"
        assert (await server.get("/metrics")).status_code == 200
        modes = [folder.stat().st_mode & 0o777 for folder in (volumes / "run").iterdir()]
        assert modes == [0o700]  # one, for sockets and metrics
    assert (volumes / "cache" / f"framekeep-{NOBODY}").is_dir()
    assert not list((volumes / "run").iterdir())


async def test_a_cache_folder_that_became_read_only_does_not_prevent_the_start(
    tmp_path: Path, read_only_root: tuple[str, ...]
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    os.chown(cache, NOBODY, NOBODY)
    run_as = (*read_only_root, *AS_NOBODY)
    environment = {**SETTINGS, "FRAMEKEEP_RUNTIME_DIR": "/mnt/run"}
    async with dev_server(cache, environment=environment, run_as=run_as) as server:
        response = await server.get("/_/resize:20/demo:beach.jpg")
        assert (response.status_code, response.headers["x-cache"]) == (200, "miss")
    environment["FRAMEKEEP_CACHE_DIR"] = str(cache)
    checked = framekeep("doctor", run_as=run_as, environment=environment)
    assert checked.returncode == 0, checked.stdout
    assert f"note cache       {cache} cannot be written to" in checked.stdout


@pytest.mark.parametrize(
    ("cache", "runtime", "sentence"),
    [
        (
            "/mnt/cache",
            "",
            "FRAMEKEEP_RUNTIME_DIR is not set, and no temporary directory is writable",
        ),
        (
            "/var/cache/none/at/all",
            "/mnt/run",
            "FRAMEKEEP_CACHE_DIR: /var/cache/none/at/all cannot be created: /var/cache is",
        ),
        (
            "/mnt/cache",
            "/mnt/none",
            "FRAMEKEEP_RUNTIME_DIR='/mnt/none': the directory does not exist",
        ),
        (
            "/mnt/cache",
            "/usr",
            f"FRAMEKEEP_RUNTIME_DIR='/usr' is not writable for user {NOBODY}",
        ),
    ],
)
def test_what_is_missing_with_a_read_only_root_is_said_by_serve_and_by_doctor(
    read_only_root: tuple[str, ...], cache: str, runtime: str, sentence: str
) -> None:
    run_as = (*read_only_root, *AS_NOBODY)
    environment = {"FRAMEKEEP_CACHE_DIR": cache, "FRAMEKEEP_RUNTIME_DIR": runtime}
    served = framekeep("serve", "--port", "0", run_as=run_as, environment=environment)
    assert served.returncode == 2
    assert served.stderr.startswith(sentence)
    assert len(served.stderr.splitlines()) == 1
    checked = framekeep("doctor", run_as=run_as, environment=environment)
    assert checked.returncode == 1
    assert sentence in checked.stdout
