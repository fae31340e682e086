"""Processes of a machine learn of changed entries through a file of counters."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.directory import ChangeCounters

KEYS = (("rendition", "a"), ("record", "a"), ("rendition", "b"), ("record", "b"))
"""They have different counters."""


@given(
    st.sets(st.sampled_from(KEYS), min_size=1),
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from((*KEYS, None))), max_size=8),
)
def test_a_token_is_true_until_one_of_its_entries_changes(
    watched: set[tuple[str, str]], changes: list[tuple[int, tuple[str, str] | None]]
) -> None:
    """Two processes make the changes; None is one of all entries."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "counters")
        processes = ChangeCounters(path), ChangeCounters(path)
        tokens = [process.change_token(*watched) for process in processes]
        expected = True
        for number, key in changes:
            if key is None:
                processes[number].bump_all(1000.0)
            else:
                processes[number].bump(*key)
            expected = expected and key is not None and key not in watched
            for token in tokens:
                assert token is not None
                assert token() is token() is expected


@pytest.mark.parametrize("size", [0, 100, 4096 * 8, 4096 * 8 + 8, 4096 * 8 + 12])
def test_a_truncated_file_gives_no_token_and_those_given_are_false(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "counters"
    counters = ChangeCounters(path)
    token = counters.change_token(*KEYS)
    assert token is not None
    os.truncate(path, size)
    assert counters.change_token(*KEYS) is None
    assert not token()


def test_a_file_of_an_earlier_version_gets_a_generation(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    ChangeCounters(path)
    os.truncate(path, 4096 * 8 + 8)
    first, second = ChangeCounters(path), ChangeCounters(path)
    token = first.change_token(*KEYS)
    assert token is not None
    assert token()
    second.bump(*KEYS[-1])
    assert not token()
