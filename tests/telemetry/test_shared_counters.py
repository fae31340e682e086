"""Sheets: numbers outlive who counted them, and all are seen by each."""

from pathlib import Path

from proxy.telemetry.shared_counters import Sheet


def seen(sheet: Sheet) -> list[tuple[list[float], bool]]:
    return [(list(numbers), lives) for numbers, lives in sheet.all()]


def test_each_counts_on_its_own_and_sees_all(tmp_path: Path) -> None:
    first, second = Sheet(tmp_path, "a", 2), Sheet(tmp_path, "a", 2)
    first.values[0], second.values[1] = 3.0, 4.0
    assert seen(first) == [([3.0, 0.0], True), ([0.0, 4.0], True)]
    assert seen(second) == [([0.0, 4.0], True), ([3.0, 0.0], True)]


def test_what_somebody_counted_is_still_there_when_he_is_gone(tmp_path: Path) -> None:
    first, second = Sheet(tmp_path, "a", 1), Sheet(tmp_path, "a", 1)
    first.values[0] = 3.0
    first.close()
    assert seen(second) == [([0.0], True), ([3.0], False)]


def test_the_next_one_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    first, second = Sheet(tmp_path, "a", 1), Sheet(tmp_path, "a", 1)
    first.values[0] = 3.0
    first.close()
    third = Sheet(tmp_path, "a", 1)
    assert list(third.values) == [3.0]
    assert len(list(tmp_path.iterdir())) == 2
    second.close()


def test_sheets_of_another_name_are_none_of_ours(tmp_path: Path) -> None:
    first, other = Sheet(tmp_path, "a", 1), Sheet(tmp_path, "b", 3)
    other.values[0] = 3.0
    assert seen(first) == [([0.0], True)]


def test_without_a_folder_there_is_nobody_else() -> None:
    sheet, other = Sheet(None, "a", 1), Sheet(None, "a", 1)
    other.values[0] = 3.0
    assert seen(sheet) == [([0.0], True)]
    sheet.close()
