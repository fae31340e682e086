from pathlib import Path

from render_helper import CATALOGUE

from proxy.operations.reference import markdown

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_operations_page_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text() == markdown(CATALOGUE), "run scripts/docs"


def test_every_field_says_what_it_takes() -> None:
    rows = [line for line in markdown(CATALOGUE).splitlines() if line.startswith("| `")]
    assert rows
    for row in rows:
        _, _, values, default = (cell.strip() for cell in row.strip("|").split("|"))
        assert values
        assert default
