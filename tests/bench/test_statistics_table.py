"""Percentiles, medians and the text of tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statistics_table import format_number, markdown_table, median, percentile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(VALUES, st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


@given(VALUES)
def test_at_most_half_of_the_values_lie_on_either_side_of_the_median(values: list[float]) -> None:
    middle = median(values)

    assert sum(value < middle for value in values) <= len(values) / 2
    assert sum(value > middle for value in values) <= len(values) / 2


@pytest.mark.parametrize("statistic", [median, lambda values: percentile(values, 0.5)])
def test_no_values_have_no_statistics(statistic: object) -> None:
    with pytest.raises(ValueError, match="no values"):
        statistic([])  # type: ignore[operator]


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
    assert format_number(value) == text


def test_a_table_is_markdown() -> None:
    assert markdown_table(["what", "who", "ms"], [["hit", "us", "1"]]) == (
        "| what | who | ms |\n| --- | --- | ---: |\n| hit | us | 1 |"
    )
