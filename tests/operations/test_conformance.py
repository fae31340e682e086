"""What holds for every operation, generated from the catalogue."""

import msgspec
import pictures
import pytest
from golden import check
from operations.examples import CASES, EXAMPLES, MARK
from render_helper import CATALOGUE, EYE, step

from proxy.errors import ProxyError
from proxy.imaging.image import Rendition
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.plan import Operation, name_of, written
from proxy.originals import SourceRef
from proxy.smartcrop.subject import Focus, Region

# The scene's red disc. What detectors find has tests of its own.
DISC = Focus((Region(0.2, 0.3, 0.45, 0.6, weight=1, kind="object"),))
SCENE = pictures.file(pictures.scene(160, 120))

INPUTS = {
    "jpeg": pictures.file(pictures.scene(160, 120), "jpeg", quality=92),
    "png_alpha": pictures.file(pictures.see_through(160, 120)),
    "grey": pictures.file(pictures.scene(160, 120)[:, :, 1]),
    "sixteen_bit": pictures.sixteen_bit(160, 120),
    "animated": pictures.animation(pictures.drifting(3, 160, 120)),
    "animated_webp": pictures.animation(pictures.drifting(3, 160, 120), "webp"),
}


def run(original: bytes, *steps: dict[str, object]) -> Rendition:
    plan = CATALOGUE.plan(list(steps))
    also = {SourceRef("logos:mark.png"): MARK}
    return render(original, plan, Limits(), eye=EYE, focus=DISC, also=also).rendition


def test_every_operation_has_an_example() -> None:
    assert set(EXAMPLES) == {name_of(kind) for kind in OPERATIONS}


@pytest.mark.parametrize(("name", "case"), CASES)
def test_it_looks_as_it_did(name: str, case: str, request: pytest.FixtureRequest) -> None:
    result = run(SCENE, step(name, **EXAMPLES[name][case]), step("convert", format="png"))
    folder = f"{name}/{case}" if case else f"{name}/default"
    check(result.body, folder, write=request.config.getoption("--golden"))


@pytest.mark.parametrize("kind", list(INPUTS))
@pytest.mark.parametrize(("name", "case"), CASES)
def test_it_works_on_every_kind_of_picture(name: str, case: str, kind: str) -> None:
    alone = step(name, **EXAMPLES[name][case])
    expected = run(SCENE, alone).size
    result = run(INPUTS[kind], alone)
    if name not in ("trim", "compress_to_size"):  # their size depends on what is in the picture
        assert result.size == expected
    if kind.startswith("animated") and name not in ("page", "frames"):
        form = EXAMPLES[name][case].get("format", result.format)
        assert result.format == form
        assert pictures.frame_count(result.body) == 3


@pytest.mark.parametrize(("name", "case"), CASES)
def test_links_and_json_mean_the_same(name: str, case: str) -> None:
    operation = CATALOGUE.plan([step(name, **EXAMPLES[name][case])]).operations[0]
    assert CATALOGUE.plan([msgspec.to_builtins(operation)]).operations[0] == operation
    assert written(operation).partition(":")[0] == name


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_operation_and_its_fields_are_explained(kind: type[Operation]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")
    assert kind.__name__ in CATALOGUE.schemas()


@pytest.mark.parametrize("kind", OPERATIONS)
def test_an_unknown_field_is_refused_by_name(kind: type[Operation]) -> None:
    name = name_of(kind)
    fields = next(iter(EXAMPLES[name].values()))
    with pytest.raises(ProxyError, match="nonsense"):
        CATALOGUE.plan([step(name, **fields, nonsense=1)])


def _out_of_bounds() -> list[tuple[str, str, object]]:
    """Every bounded number of every operation, one step beyond each of its bounds."""
    found: list[tuple[str, str, object]] = []
    for kind in OPERATIONS:
        for field, about in msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"].items():
            for option in about.get("anyOf") or [about]:
                beyond = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
                found += [
                    (name_of(kind), field, option[bound] + by)
                    for bound, by in beyond.items()
                    if bound in option
                ]
    return found


@pytest.mark.parametrize(("name", "field", "value"), _out_of_bounds())
def test_beyond_a_bound_is_refused_by_name(name: str, field: str, value: object) -> None:
    fields = next(iter(EXAMPLES[name].values()))
    given = {key: what for key, what in fields.items() if not field.startswith(key)}
    with pytest.raises(ProxyError, match=f"{name}.*{field}"):
        CATALOGUE.plan([step(name, **{**given, field: value})])
