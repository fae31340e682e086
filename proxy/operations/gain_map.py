"""Keep the HDR gain map of a picture through a plan: which plans can, and how it is transformed."""

from msgspec import structs

from proxy.errors import OperationNotApplicable
from proxy.imaging.picture import Picture
from proxy.limits import Limits
from proxy.operations.estimate import apply_within_limits
from proxy.operations.operation import Operation, operation_name
from proxy.operations.plan import Plan

_FORMATS = (None, "auto", "jpeg")


def check_gain_map_is_kept(plan: Plan) -> None:
    """Raise OperationNotApplicable where the plan asks for a gain map that would not fit.

    Whether the original has one does not matter, so that a link works for all originals or none.
    """
    if not plan.keeps_hdr:
        return
    if plan.format not in _FORMATS:
        raise OperationNotApplicable(
            f"keep: hdr: {plan.format} cannot hold a gain map here; use jpeg or auto, or leave hdr "
            "out"
        )
    for operation in plan:
        if getattr(operation, "lossless", False):
            raise OperationNotApplicable(
                f"keep: hdr: {operation_name(operation)} asks for a lossless result, and only jpeg "
                "can hold a gain map here; leave one of them out"
            )
        if not operation.only_moves_pixels():
            raise OperationNotApplicable(
                f"keep: hdr: {operation_name(operation)} changes colors or adds pixels, for which "
                "the gain map says nothing. Possible are resize, crop and what else only scales, "
                "cuts out or turns; or leave hdr out"
            )


def apply_with_gain_map(operation: Operation, picture: Picture, limits: Limits) -> Picture:
    """Apply the operation to the picture, and in the same way to its gain map if there is one."""
    gain_map = picture.gain_map
    if gain_map is None or not operation.changes_pixels:
        return apply_within_limits(operation, picture, limits)
    if operation.uses_detection():
        picture, _ = picture.detect_subject()  # not in the gain map
    moved = operation.apply(structs.replace(picture, image=gain_map.image, gain_map=None))
    result = apply_within_limits(operation, picture, limits)
    return structs.replace(result, gain_map=structs.replace(gain_map, image=moved.image))
