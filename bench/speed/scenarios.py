"""What is asked of every server: originals, and what shall become of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Wish:
    """A rendition, in no server's words. A side of 0 follows from the other."""

    width: int
    height: int
    format: Literal["jpeg", "webp", "avif"]
    quality: int
    smart: bool = False
    sharpen: float = 0.0
    animated: bool = False


@dataclass(frozen=True)
class Scenario:
    """Wishes for one original, all of them for each fresh copy of it.

    ``compared`` says whether pixels can be held against a reference: crops that are placed by
    taste cannot, and neither can every frame of an animation.
    """

    name: str
    original: str
    wishes: tuple[Wish, ...]
    compared: bool = True
    without: frozenset[str] = field(default_factory=frozenset)


AVATAR = Wish(200, 200, "webp", 80)
CARD = Wish(800, 600, "jpeg", 80)
SOCIAL = Wish(1200, 630, "webp", 85, smart=True, sharpen=0.5)
WEB = Wish(1600, 0, "webp", 80)
AVIF = Wish(800, 0, "avif", 50)
ALPHA = Wish(800, 0, "webp", 80)
ANIMATION = Wish(240, 0, "webp", 75, animated=True)

COLD = (
    Scenario("avatar", "photo0.jpg", (AVATAR,)),
    Scenario("card", "photo1.jpg", (CARD,)),
    Scenario("social", "photo2.jpg", (SOCIAL,), compared=False),
    Scenario("web", "photo0.jpg", (WEB,)),
    Scenario("avif", "photo1.jpg", (AVIF,)),
    Scenario("alpha", "alpha.png", (ALPHA,)),
    Scenario("gif", "animated.gif", (ANIMATION,), compared=False),
    Scenario("progressive", "progressive.jpg", (CARD,)),
    Scenario("cmyk", "cmyk.jpg", (CARD,), compared=False),
    Scenario("three sizes", "photo2.jpg", (AVATAR, CARD, SOCIAL), compared=False),
)

HITS = {
    "hit 9 kB": (9_000, AVATAR),
    "hit 20 kB": (20_000, Wish(320, 240, "webp", 80)),
    "hit 80 kB": (80_000, CARD),
}
"""The bytes that a hit shall have, about, and the wish whose quality is turned until it has."""
