"""The status of a component, from one process of the server to the others."""

from pathlib import Path

from proxy.runtime.components import OK, ComponentStatus, StatusFile


def test_without_a_report_all_is_well(tmp_path: Path) -> None:
    assert StatusFile(tmp_path, "workers").read() == OK


def test_the_last_report_counts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = StatusFile(tmp_path, "workers")
    for status in (ComponentStatus("down", "none"), ComponentStatus("degraded", "1 of 2")):
        file.write(status)
        assert StatusFile(tmp_path, "workers").read() == status
    file.write(OK)
    file.write(OK)
    assert file.read() == OK
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_read_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "status-workers").write_bytes(b"{")
    assert StatusFile(tmp_path, "workers").read().state == "degraded"
