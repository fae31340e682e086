"""The scenarios: which renditions of which originals are requested from every server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ImageSpec:
    """A rendition, in no server's syntax. A height of 0 follows from the width."""

    width: int
    height: int
    format: Literal["jpeg", "webp", "avif"]
    quality: int
    smart: bool = False
    sharpen: float = 0.0
    animated: bool = False


@dataclass(frozen=True)
class Scenario:
    """Renditions of one original; each uncached copy of it is requested in all of them.

    ``has_reference`` says whether the pixels can be compared with a reference: those of smart crops
    and of all frames of an animation cannot.
    """

    name: str
    original: str
    specs: tuple[ImageSpec, ...]
    has_reference: bool = True


AVATAR = ImageSpec(200, 200, "webp", 80)
CARD = ImageSpec(800, 600, "jpeg", 80)
SOCIAL = ImageSpec(1200, 630, "webp", 85, smart=True, sharpen=0.5)
WEB = ImageSpec(1600, 0, "webp", 80)
AVIF = ImageSpec(800, 0, "avif", 50)
ALPHA = ImageSpec(800, 0, "webp", 80)
ANIMATION = ImageSpec(240, 0, "webp", 75, animated=True)

COLD = (
    Scenario("avatar", "photo0.jpg", (AVATAR,)),
    Scenario("card", "photo1.jpg", (CARD,)),
    Scenario("social", "photo2.jpg", (SOCIAL,), has_reference=False),
    Scenario("web", "photo0.jpg", (WEB,)),
    Scenario("avif", "photo1.jpg", (AVIF,)),
    Scenario("alpha", "alpha.png", (ALPHA,)),
    Scenario("gif", "animated.gif", (ANIMATION,), has_reference=False),
    Scenario("progressive", "progressive.jpg", (CARD,)),
    Scenario("cmyk", "cmyk.jpg", (CARD,), has_reference=False),
    Scenario("three sizes", "photo2.jpg", (AVATAR, CARD, SOCIAL), has_reference=False),
)

HITS = {
    "hit 9 kB": (9_000, AVATAR),
    "hit 20 kB": (20_000, ImageSpec(320, 240, "webp", 80)),
    "hit 80 kB": (80_000, CARD),
}
"""The approximate size of a hit in bytes, and the rendition whose quality is adapted to it."""

HERD = 64
NOT_MODIFIED = "304"
LOADS = {"when idle": 0, "under load": 2000}
"""How many renditions are asked for meanwhile: none, or more than any server can render."""

MIXED = "1 % cold, under load"
SAME_EFFORT = "same effort"
EQUAL_LOOK = "equal look"
SPIKE = "spike"
NEIGHBOR = "noisy neighbor"
ZIPF = "zipf"
PAGE = "page"
START = "start"


def hit_names() -> tuple[str, ...]:
    return (*HITS, NOT_MODIFIED)


def load_names() -> tuple[str, ...]:
    return (MIXED, *(f"{what} {when}" for what in ("hit", "health") for when in LOADS))


def same_effort_names() -> tuple[str, ...]:
    """The scenarios in whose formats effort is a choice."""
    return tuple(
        f"{SAME_EFFORT} {one.name}"
        for one in COLD
        if any(spec.format != "jpeg" for spec in one.specs)
    )


def as_they_ship_names() -> tuple[str, ...]:
    cold = (scenario.name for scenario in COLD)
    return (*cold, f"herd of {HERD}", *hit_names(), *load_names())


def all_names() -> tuple[str, ...]:
    """What can be selected."""
    traffic = (EQUAL_LOOK, ZIPF, PAGE, SPIKE, NEIGHBOR, START)
    return (*as_they_ship_names(), *same_effort_names(), *traffic)
