from pathlib import Path

from render_helper import REGISTRY

from proxy.operations.reference import render_markdown

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_operations_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render_markdown(REGISTRY), "run scripts/docs"


def test_every_field_has_values_a_default_and_a_meaning() -> None:
    rows = [line for line in render_markdown(REGISTRY).splitlines() if line.startswith("| `")]
    assert rows
    for row in rows:
        _, _, values, default, meaning = (cell.strip() for cell in row.strip("|").split("|"))
        assert values
        assert default
        assert meaning.endswith(".")
