"""What a crop keeps, as links write it: ``auto``, ``face``, ``dog`` or ``person*2,dog``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from proxy.smartcrop.coco import ANIMALS, COCO_CLASSES
from proxy.smartcrop.subject import RegionKind
from proxy.text_values import did_you_mean

KIND_PRIORITY: tuple[RegionKind, ...] = ("face", "person", "animal", "object", "saliency")
"""The kinds of regions, the most important first."""

NEEDS_MODEL: frozenset[str] = frozenset(COCO_CLASSES) - frozenset(KIND_PRIORITY)
"""Names that only a detector of classes can find."""

MAX_NAMES = 12
_ALONE = ("auto", "center")
_NAMES = (*_ALONE, *dict.fromkeys((*KIND_PRIORITY, *COCO_CLASSES)))
_NAME = re.compile(r"([a-z_]+)(?:\*([0-9]{1,3}(?:\.[0-9]{1,2})?))?")
MAX_WEIGHT = 100

Focus = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_]{1,20}(\*[0-9.]{1,6})?(,[a-z_]{1,20}(\*[0-9.]{1,6})?){0,11}$",
        title="`auto`, `face`, `person`, `animal`, `object`, `saliency`, `center`, or classes of "
        "COCO such as `dog` or `person*2,dog`",
        examples=[_ALONE[0], *KIND_PRIORITY, _ALONE[1]],
    ),
]


@lru_cache(maxsize=1024)
def parse_focus(text: str) -> Mapping[str, float]:
    """The weight of each name, the highest of which is 1.

    Raises ValueError, beginning with "focus", for what is no focus.
    """
    parts = text.split(",")
    if len(parts) > MAX_NAMES:
        raise ValueError(f"focus: at most {MAX_NAMES} names, not {len(parts)}")
    weights: dict[str, float] = {}
    for part in parts:
        found = _NAME.fullmatch(part)
        if found is None or not 1 <= float(found[2] or 1) <= MAX_WEIGHT:
            raise ValueError(
                f"focus: {part!r} must be a name, or one with a weight from 1 to {MAX_WEIGHT} such "
                "as dog*2"
            )
        name = found[1]
        if name not in _NAMES:
            raise ValueError(
                f"focus: there is no {name!r}{did_you_mean(name, _NAMES)}; names: "
                f"{', '.join(_NAMES)}"
            )
        if name in weights:
            raise ValueError(f"focus: {name} is named twice")
        if name in _ALONE and text != name:
            raise ValueError(f"focus: {name} is possible alone only")
        weights[name] = float(found[2] or 1)
    most = max(weights.values())
    return {name: weight / most for name, weight in weights.items()}


@lru_cache(maxsize=1024)
def normalize_focus(text: str) -> str:
    """The one spelling of what means the same: sorted, weights relative to the lowest.

    Raises ValueError as `parse_focus` does.
    """
    return write_focus(parse_focus(text))


def write_focus(weights: Mapping[str, float]) -> str:
    """A focus of these names. Their weights differ by a factor of 100 at most."""
    least = min(weights.values())
    texts = {name: f"{weight / least:.2f}" for name, weight in sorted(weights.items())}
    return ",".join(
        name if text == "1.00" else f"{name}*{text.rstrip('0').rstrip('.')}"
        for name, text in texts.items()
    )


def class_of(name: str) -> str | None:
    """The class of COCO that a name stands for, however it is written; None for none."""
    name = re.sub(r"[ -]", "_", name.lower())
    return name if name in COCO_CLASSES else None


def kind_of(name: str) -> RegionKind:
    """The kind of a class or of a kind."""
    known = next((kind for kind in KIND_PRIORITY if kind == name), None)
    return known or ("animal" if name in ANIMALS else "object")


def missing_model(focus: str) -> str:
    """Why a focus cannot be had without a detector of classes; empty where it can."""
    names = ", ".join(sorted(NEEDS_MODEL.intersection(parse_focus(focus))))
    if not names:
        return ""
    return (
        f"to find {names}, this server needs a model: pip install 'framekeep[models]', "
        "`framekeep models install`, and FRAMEKEEP_MODELS_DIR; face, person, animal, object and "
        "saliency work without one"
    )
