from pathlib import Path

import pytest
import pyvips
from golden import difference
from render_helper import REGISTRY

from proxy.limits import Limits
from proxy.links.parser import StepParser
from proxy.operations import OPERATIONS
from proxy.operations.examples import EXAMPLES, PICTURE_FORMATS
from proxy.operations.operation import operation_name
from proxy.operations.pipeline import render
from proxy.operations.reference import render_markdown
from proxy.render.handlers import get_detector
from proxy.smartcrop.models import ModelsConfig

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
PICTURES = ROOT / "docs" / "operations"
DEMO = ROOT / "proxy" / "data" / "demo"


def test_the_operations_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render_markdown(REGISTRY, PICTURES), "run scripts/docs"


def test_every_field_has_values_a_default_and_a_meaning() -> None:
    page = render_markdown(REGISTRY, PICTURES)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows
    for row in rows:
        _, _, values, default, meaning = (cell.strip() for cell in row.strip("|").split("|"))
        assert values
        assert default
        assert meaning.endswith(".")


def test_every_operation_has_an_example_and_every_picture_is_of_one() -> None:
    missing = {operation_name(kind) for kind in OPERATIONS} ^ set(EXAMPLES)
    assert not missing, "add an example to proxy/operations/examples.py, then run scripts/docs"
    names = {*EXAMPLES, *(example.before_name for example in EXAMPLES.values())}
    assert {path.stem for path in PICTURES.iterdir()} == names


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_carries_the_operation_out_and_looks_like_its_picture(name: str) -> None:
    example = EXAMPLES[name]
    plan = StepParser(REGISTRY, {}).parse(example.steps.split("/")).plan
    assert name in {step.partition(":")[0] for step in example.steps.split("/")}
    rendition = render(
        (DEMO / example.source).read_bytes(),
        plan,
        Limits(),
        detector=get_detector(ModelsConfig()),
        extra_images={ref: (DEMO / ref.path).read_bytes() for ref in plan.extra_sources()},
    ).rendition
    picture = PICTURES / f"{name}.{PICTURE_FORMATS[rendition.format]}"
    rendered, written = (
        pyvips.Image.new_from_buffer(body, "") for body in (rendition.body, picture.read_bytes())
    )
    assert (rendered.width, rendered.height) == (written.width, written.height), "run scripts/docs"
    assert difference(rendered, written) < 1, "run scripts/docs"
