"""What many measurements say together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statistics_table import median, percentile, short, table

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(VALUES, st.floats(0.01, 1))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


@given(VALUES)
def test_as_many_lie_above_the_median_as_below(values: list[float]) -> None:
    middle = median(values)

    assert sum(value < middle for value in values) <= len(values) / 2
    assert sum(value > middle for value in values) <= len(values) / 2


@pytest.mark.parametrize("of", [median, lambda values: percentile(values, 0.5)])
def test_nothing_has_no_middle(of: object) -> None:
    with pytest.raises(ValueError, match="of nothing"):
        of([])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.6, "1,235"),
        (99.96, "100.0"),
        (12.34, "12.3"),
        (0.123, "0.123"),
        (0.0363, "0.0363"),
        (None, "-"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert short(value) == text


def test_a_table_is_markdown() -> None:
    assert table(["what", "who", "ms"], [["hit", "us", "1"]]) == (
        "| what | who | ms |\n| --- | --- | ---: |\n| hit | us | 1 |"
    )
