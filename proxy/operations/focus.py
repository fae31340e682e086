"""The field `focus` of operations that crop around the subject."""

from typing import Annotated

from msgspec import Meta, structs

from proxy.errors import OperationNotApplicable
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation, operation_name
from proxy.smartcrop.focus import Focus, missing_model, normalize_focus
from proxy.smartcrop.subject import Subject

SmartFocus = Annotated[
    Focus, Meta(description="What counts as the subject with the gravity `smart`.")
]


def set_focus(operation: Operation, focus: str) -> None:
    """Write ``focus`` in its one spelling, so that equal requests are equal.

    Raises ValueError for what is no focus.
    """
    structs.force_setattr(operation, "focus", normalize_focus(focus))


def detect_focus(operation: Operation, picture: Picture, focus: str) -> tuple[Picture, Subject]:
    """The picture and its subject.

    Raises OperationNotApplicable where no detector could find the classes that ``focus`` names.
    """
    picture, subject = picture.detect_subject()
    if not subject.has_classes and (reason := missing_model(focus)):
        raise OperationNotApplicable(f"{operation_name(operation)}: focus: {reason}")
    return picture, subject
