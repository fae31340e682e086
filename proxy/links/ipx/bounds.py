"""Which modifiers the settings allow, and how many renditions of a source that makes."""

from collections.abc import Collection, Iterator, Sequence

from proxy.errors import ConfigError, InvalidLink
from proxy.links.ipx.config import IpxConfig
from proxy.links.ipx.modifiers import ALIASES, MODIFIERS, SIZE_MODIFIERS, Modifier
from proxy.links.ipx.state import LinkModifiers

_MAX_QUALITY = 100

_VALUES = {
    "fit": 5,
    "position": 10,
    "kernel": 1,
    "autoorient": 1,
    **dict.fromkeys(
        ("enlarge", "animated", "flip", "flop", "flatten", "grayscale", "normalize", "negate"), 2
    ),
}
"""How many results a modifier has, its absence included. All others take numbers."""


class LinkBounds:
    """The lists of the settings. An empty list allows every value up to the maximum."""

    def __init__(self, config: IpxConfig, accept_groups: int) -> None:
        """``accept_groups`` is how many renditions `auto` has.

        Raise ConfigError for unknown modifiers, and where the lists allow too much.
        """
        self._config = config
        self._accept_groups = accept_groups
        self._max_side = config.max_side
        self._modifiers = frozenset(_listed(text) for text in config.allow_modifiers)
        for side in (*config.allow_widths, *config.allow_heights):
            if side > config.max_side:
                raise ConfigError(
                    f"FRAMEKEEP_IPX_MAX_SIDE: {config.max_side} is less than {side}, which "
                    "FRAMEKEEP_IPX_ALLOW_WIDTHS or FRAMEKEEP_IPX_ALLOW_HEIGHTS has"
                )
        self._check_count()

    def check(self, modifiers: LinkModifiers, written: Sequence[Modifier]) -> None:
        """Raise InvalidLink for a value that the lists do not allow."""
        for modifier in written:
            if modifier.name not in SIZE_MODIFIERS and not self._allows(modifier):
                raise InvalidLink(
                    f"{modifier.written}: is not allowed here (FRAMEKEEP_IPX_ALLOW_MODIFIERS)"
                )
        config, (box_width, box_height) = self._config, modifiers.box or (0, 0)
        for width in (modifiers.width, box_width):
            self._check_side("width", width, config.allow_widths)
        for height in (modifiers.height, box_height):
            self._check_side("height", height, config.allow_heights)
        for border in modifiers.extend:
            self._check_side("extend", border, ())
        quality, format = modifiers.quality, modifiers.format
        if quality and config.allow_qualities and quality not in config.allow_qualities:
            raise InvalidLink(
                f"quality: must be one of {_join(config.allow_qualities)}, not {quality} "
                "(FRAMEKEEP_IPX_ALLOW_QUALITIES)"
            )
        if format and format not in config.allow_formats:
            raise InvalidLink(
                f"format: must be one of {', '.join(config.allow_formats)}, not {format} "
                "(FRAMEKEEP_IPX_ALLOW_FORMATS)"
            )

    def count_renditions(self) -> int | None:
        """How many renditions of one source the lists allow at most; None: there is no bound."""
        config = self._config
        count = 1
        for sides in (config.allow_widths, config.allow_heights):
            count *= (len(set(sides)) or self._max_side) + 1
        count *= (len(set(config.allow_qualities)) or _MAX_QUALITY) + 1
        formats = set(config.allow_formats)
        count *= 1 + len(formats) + ("auto" in formats) * (self._accept_groups - 1)
        for name in sorted({text.partition("_")[0] for text in self._modifiers}):
            if name not in self._modifiers:
                count *= 1 + sum(text.startswith(f"{name}_") for text in self._modifiers)
            elif name in _VALUES:
                count *= _VALUES[name]
            else:
                return None
        return count

    def describe(self) -> Iterator[str]:
        """Lines for an operator, such as ``widths: 320, 640``."""
        config = self._config
        yield f"sources: {', '.join(config.allow_sources)}"
        yield f"widths: {_join(config.allow_widths) or f'1 to {self._max_side}'}"
        yield f"heights: {_join(config.allow_heights) or f'1 to {self._max_side}'}"
        yield f"qualities: {_join(config.allow_qualities) or f'1 to {_MAX_QUALITY}'}"
        yield f"formats: {', '.join(config.allow_formats) or 'none'}"
        yield f"modifiers: {', '.join(sorted(self._modifiers)) or 'none'}"
        count = self.count_renditions()
        yield f"renditions of one source: {'no bound' if count is None else f'at most {count:,}'}"

    def _allows(self, modifier: Modifier) -> bool:
        return modifier.name in self._modifiers or modifier.text in self._modifiers

    def _check_side(self, name: str, side: int, allowed: Collection[int]) -> None:
        if side > self._max_side:
            raise InvalidLink(
                f"{name}: must be at most {self._max_side}, not {side} (FRAMEKEEP_IPX_MAX_SIDE)"
            )
        if side and allowed and side not in allowed:
            raise InvalidLink(
                f"{name}: must be one of {_join(allowed)}, not {side} "
                f"(FRAMEKEEP_IPX_ALLOW_{name.upper()}S)"
            )

    def _check_count(self) -> None:
        most = self._config.max_renditions
        if not most:
            return
        count = self.count_renditions()
        if count is None:
            raise ConfigError(
                "FRAMEKEEP_IPX_ALLOW_MODIFIERS: modifiers that take numbers have no bound: list "
                "them with their values, such as blur_5, or set FRAMEKEEP_IPX_MAX_RENDITIONS=0"
            )
        if count > most:
            raise ConfigError(
                f"FRAMEKEEP_IPX_MAX_RENDITIONS: the lists allow {count:,} renditions of one "
                f"source, more than {most:,}: set FRAMEKEEP_IPX_ALLOW_WIDTHS, "
                "FRAMEKEEP_IPX_ALLOW_HEIGHTS and FRAMEKEEP_IPX_ALLOW_QUALITIES, or raise it"
            )


def _listed(text: str) -> str:
    """A modifier of the settings with its long name. Raises ConfigError for an unknown one."""
    name, separator, value = text.partition("_")
    name = ALIASES.get(name, name)
    if name not in MODIFIERS:
        raise ConfigError(
            f"FRAMEKEEP_IPX_ALLOW_MODIFIERS: {text!r} is none of {', '.join(MODIFIERS)}; sizes, "
            "qualities and formats have lists of their own"
        )
    return f"{name}{separator}{value}"


def _join(numbers: Collection[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
