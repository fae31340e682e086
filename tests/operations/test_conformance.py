"""What holds for every operation, generated from the registry."""

import msgspec
import pictures
import pytest
from golden import check_golden
from operations.examples import CASES, DISC, EXAMPLES, MARK, DiscDetector
from render_helper import REGISTRY, step

from proxy.errors import ProxyError
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.operation import Operation, format_operation, operation_name
from proxy.operations.pipeline import render
from proxy.originals import SourceRef

SCENE = pictures.encode(pictures.scene(160, 120))

INPUTS = {
    "jpeg": pictures.encode(pictures.scene(160, 120), "jpeg", quality=92),
    "png_alpha": pictures.encode(pictures.translucent_scene(160, 120)),
    "gray": pictures.encode(pictures.scene(160, 120)[:, :, 1]),
    "sixteen_bit": pictures.png_16_bit(160, 120),
    "animated": pictures.encode_animation(pictures.moving_scene(3, 160, 120)),
    "animated_webp": pictures.encode_animation(pictures.moving_scene(3, 160, 120), "webp"),
}


def run(original: bytes, *steps: dict[str, object]) -> Rendition:
    plan = REGISTRY.plan(list(steps))
    also = {SourceRef("logos:mark.png"): MARK}
    return render(
        original, plan, Limits(), detector=DiscDetector(), subject=DISC, extra_images=also
    ).rendition


def test_every_operation_has_an_example() -> None:
    assert set(EXAMPLES) == {operation_name(kind) for kind in OPERATIONS}


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_result_looks_like_the_golden_picture(
    name: str, case: str, request: pytest.FixtureRequest
) -> None:
    result = run(SCENE, step(name, **EXAMPLES[name][case]), step("convert", format="png"))
    folder = f"{name}/{case}" if case else f"{name}/default"
    check_golden(result.body, folder, write=request.config.getoption("--golden"))


@pytest.mark.parametrize("kind", list(INPUTS))
@pytest.mark.parametrize(("name", "case"), CASES)
def test_it_can_be_applied_to_every_kind_of_picture(name: str, case: str, kind: str) -> None:
    alone = step(name, **EXAMPLES[name][case])
    expected = run(SCENE, alone).size
    result = run(INPUTS[kind], alone)
    if name not in ("trim", "compress_to_size"):  # their size depends on what is in the picture
        assert result.size == expected
    if kind.startswith("animated") and name not in ("page", "frames", "lqip"):
        format = EXAMPLES[name][case].get("format", result.format)
        assert result.format == format
        assert pictures.frame_count(result.body) == 3


@pytest.mark.parametrize(("name", "case"), CASES)
def test_links_and_json_describe_the_same_operation(name: str, case: str) -> None:
    operation = REGISTRY.plan([step(name, **EXAMPLES[name][case])]).operations[0]
    assert REGISTRY.plan([msgspec.to_builtins(operation)]).operations[0] == operation
    assert format_operation(operation).partition(":")[0] == name


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_operation_and_its_fields_are_documented(kind: type[Operation]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")
    assert kind.__name__ in REGISTRY.schemas()


@pytest.mark.parametrize("kind", OPERATIONS)
def test_an_unknown_field_is_rejected_by_name(kind: type[Operation]) -> None:
    name = operation_name(kind)
    fields = next(iter(EXAMPLES[name].values()))
    with pytest.raises(ProxyError, match="nonsense"):
        REGISTRY.plan([step(name, **fields, nonsense=1)])


def _out_of_bounds() -> list[tuple[str, str, object]]:
    """Every bounded number of every operation, just beyond each of its bounds."""
    found: list[tuple[str, str, object]] = []
    for kind in OPERATIONS:
        for field, about in msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"].items():
            for option in about.get("anyOf") or [about]:
                beyond = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
                found += [
                    (operation_name(kind), field, option[bound] + by)
                    for bound, by in beyond.items()
                    if bound in option and option.get("exclusiveMaximum") != 1  # then come pixels
                ]
    return found


@pytest.mark.parametrize(("name", "field", "value"), _out_of_bounds())
def test_a_value_out_of_bounds_is_rejected_by_name(name: str, field: str, value: object) -> None:
    fields = next(iter(EXAMPLES[name].values()))
    valid = {key: what for key, what in fields.items() if not field.startswith(key)}
    with pytest.raises(ProxyError, match=f"{name}.*{field}"):
        REGISTRY.plan([step(name, **{**valid, field: value})])
