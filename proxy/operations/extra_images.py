"""The further images that the operations of a plan need, such as watermarks."""

from collections.abc import Mapping

import pyvips

from proxy.buffers import Buffer
from proxy.geometry import Size
from proxy.imaging.decode import check_limits, decode
from proxy.imaging.headers import probe
from proxy.imaging.picture import Detector
from proxy.limits import Limits
from proxy.operations.estimate import PlanEstimate, apply_within_limits
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.originals import SourceRef


class ExtraImages:
    """Decodes further images, and carries out the steps that their operation names for them."""

    def __init__(
        self, bodies: Mapping[SourceRef, Buffer], limits: Limits, detector: Detector
    ) -> None:
        self._bodies = bodies
        self._limits = limits
        self._detector = detector

    def check(self, plan: Plan) -> float:
        """The seconds that they take. Raises an ImageError where a header shows that one fails."""
        return sum(
            self._check(body, PlanEstimate(Plan(operation.extra_steps())))
            for operation in plan
            for body in self._bodies_of(operation).values()
        )

    def load(self, operation: Operation) -> dict[SourceRef, pyvips.Image]:
        """The first frame of each image of the operation, after its steps.

        Raises an ImageError where one cannot be decoded or a step cannot be applied to it.
        """
        steps = Plan(operation.extra_steps())
        bodies = self._bodies_of(operation)
        return {source: self._load(body, steps) for source, body in bodies.items()}

    def _bodies_of(self, operation: Operation) -> dict[SourceRef, Buffer]:
        sources = operation.extra_sources()
        return {source: self._bodies[source] for source in sources if source in self._bodies}

    def _check(self, body: Buffer, estimate: PlanEstimate) -> float:
        header = probe(body)
        frames = header.frames if header.animated else 1
        check_limits(header, len(body), self._limits, frames=frames)
        return estimate.seconds_to_pixels(header, frames)

    def _load(self, body: Buffer, steps: Plan) -> pyvips.Image:
        estimate = PlanEstimate(steps)

        def check_sizes(natural: Size) -> Size | None:
            estimate.check_sizes(natural, 1, self._limits)
            return steps.required_size(natural)

        picture = decode(body, self._limits, detector=self._detector, required_size=check_sizes)
        for step in steps:
            picture = apply_within_limits(step, picture, self._limits)
        return picture.image
