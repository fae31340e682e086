"""Where the server puts its own files: private folders, also on a volume that others share."""

import os
import stat
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.runtime.private_folder import (
    check_private_folder,
    create_private_folder,
    expand_home,
    locate_private_folder,
)

OTHER_USER = 12345


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A folder of another user that its group may write to, as Kubernetes mounts it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, OTHER_USER, os.getegid())
    volume.chmod(0o2775)
    return volume


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) & 0o777


def test_a_missing_folder_is_created_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert locate_private_folder(str(folder)) == folder
    check_private_folder(folder)
    assert not folder.exists()
    assert create_private_folder(folder) == folder.stat().st_ino
    assert mode(folder) == 0o700


def test_a_folder_is_made_in_a_volume_of_another_user(volume: Path) -> None:
    folder = locate_private_folder(str(volume))
    assert folder == volume / f"framekeep-{os.geteuid()}"
    check_private_folder(folder)
    create_private_folder(folder)
    assert mode(folder) == 0o700
    assert mode(volume) == 0o775
    assert locate_private_folder(str(volume)) == folder


@pytest.mark.parametrize("permissions", [0o700, 0o755, 0o1755])
def test_a_folder_that_another_user_does_not_share_is_refused(
    volume: Path, permissions: int
) -> None:
    volume.chmod(permissions)
    assert locate_private_folder(str(volume)) == volume
    for call in (check_private_folder, create_private_folder):
        with pytest.raises(ConfigError, match=f"{volume} belongs to user {OTHER_USER}, this is"):
            call(volume)


def test_what_another_user_has_put_at_our_name_in_a_volume_is_refused(volume: Path) -> None:
    folder = locate_private_folder(str(volume))
    folder.mkdir(mode=0o700)
    os.chown(folder, OTHER_USER, -1)
    with pytest.raises(ConfigError, match=f"belongs to user {OTHER_USER}"):
        create_private_folder(folder)


def test_a_link_at_our_name_in_a_volume_is_not_followed(volume: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir(mode=0o700)
    folder = locate_private_folder(str(volume))
    folder.symlink_to(target)
    with pytest.raises(ConfigError, match="is not a folder"):
        create_private_folder(folder)


def test_a_link_to_a_folder_of_ours_is_followed_elsewhere(tmp_path: Path) -> None:
    target, link = tmp_path / "disk", tmp_path / "cache"
    target.mkdir(mode=0o700)
    link.symlink_to(target)
    assert create_private_folder(link) == target.stat().st_ino


def test_an_empty_folder_and_a_new_file_system_are_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "lost+found").mkdir()
    check_private_folder(folder)
    assert mode(folder) == 0o755
    create_private_folder(folder)
    assert mode(folder) == 0o700


def test_a_folder_that_is_open_to_others_and_not_empty_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "planted").touch()
    for call in (check_private_folder, create_private_folder):
        with pytest.raises(ConfigError, match=f"open to other users; .*chmod 700 {tmp_path}"):
            call(tmp_path)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        check_private_folder(file)


def test_a_user_without_a_home_directory_is_named() -> None:
    assert expand_home("/var/cache") == Path("/var/cache")
    with pytest.raises(
        ConfigError, match=r"^~no-such-user/cache cannot be used: user [0-9]+ has no"
    ):
        expand_home("~no-such-user/cache")
