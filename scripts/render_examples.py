"""Renders the pictures of docs/operations/: each operation before and after its example."""

from pathlib import Path

from proxy.limits import Limits
from proxy.links.parser import StepParser
from proxy.operations import OPERATIONS
from proxy.operations.examples import EXAMPLES, PICTURE_FORMATS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.render.handlers import get_detector
from proxy.smartcrop.models import ModelsConfig

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "proxy" / "data" / "demo"
TARGET = ROOT / "docs" / "operations"


def write_picture(steps: str, source: str, name: str) -> None:
    plan = StepParser(OperationRegistry(OPERATIONS), {}).parse(steps.split("/")).plan
    rendition = render(
        (DEMO / source).read_bytes(),
        plan,
        Limits(),
        detector=get_detector(ModelsConfig()),
        extra_images={ref: (DEMO / ref.path).read_bytes() for ref in plan.extra_sources()},
    ).rendition
    (TARGET / f"{name}.{PICTURE_FORMATS[rendition.format]}").write_bytes(rendition.body)


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    for path in TARGET.iterdir():
        path.unlink()
    for name, example in EXAMPLES.items():
        write_picture(f"{example.before}/convert:webp", example.source, example.before_name)
        write_picture(example.steps, example.source, name)


if __name__ == "__main__":
    main()
