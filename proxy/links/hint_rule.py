"""Fill the open fields of a link that client hints choose: ``resize:{auto,800,320,640,1280}``.

A value is chosen that is large enough, so that a link has few variants. The first value of a list
is for clients that send no hint.
"""

from collections.abc import Mapping
from fractions import Fraction

from msgspec import Struct

from proxy.links.client_hints import HINT_HEADERS, REQUESTED_HEADERS, ClientHints, Hint
from proxy.links.open_fields import AUTO, OpenField

_ROUNDING_PIXELS = 1  # browsers round the width up, also that of 352.00001 pixels


class HintRule(Struct, frozen=True):
    """The open fields of a link, of which client hints choose some.

    ``texts`` has a value for each field, and `AUTO` for those that hints choose. ``dpr`` is the
    ratio by which the link multiplies its sizes, or the position of the field that has it. With
    ``saves_data``, a client with ``Save-Data: on`` counts as one with a device pixel ratio of 1.
    """

    fields: tuple[OpenField, ...]
    texts: tuple[str, ...]
    dpr: float = 1.0
    open_dpr: int | None = None
    saves_data: bool = False

    @property
    def header_names(self) -> tuple[str, ...]:
        """The request headers that may change the choice, as ``Vary`` names them."""
        looked_at = [field.hint for field in self._chosen_by_hints]
        if self.saves_data:
            looked_at.append(Hint.SAVE_DATA)
        names = (name for hint in Hint if hint in looked_at for name in HINT_HEADERS[hint])
        return tuple(dict.fromkeys(names))

    @property
    def requested_headers(self) -> tuple[str, ...]:
        """Those that browsers send only where they are asked to, as ``Accept-CH`` names them."""
        return tuple(name for name in self.header_names if name in REQUESTED_HEADERS)

    def choose(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the choice for a request with these headers, as a link has it: ``640:2``."""
        hints = ClientHints(headers)
        ratio = self._ratio(hints)
        return ":".join(
            self._choose(field, hints, ratio) if text == AUTO and field.hint is not None else text
            for field, text in zip(self.fields, self.texts, strict=True)
        )

    @property
    def _chosen_by_hints(self) -> tuple[OpenField, ...]:
        return tuple(
            field
            for field, text in zip(self.fields, self.texts, strict=True)
            if text == AUTO and field.hint is not None
        )

    def _ratio(self, hints: ClientHints) -> Fraction:
        """By what the sizes of the link are multiplied."""
        if self.open_dpr is None:
            return Fraction(str(self.dpr))
        field, text = self.fields[self.open_dpr], self.texts[self.open_dpr]
        return Fraction(self._choose_dpr(field, hints) if text == AUTO else text)

    def _choose(self, field: OpenField, hints: ClientHints, ratio: Fraction) -> str:
        match field.hint:
            case Hint.WIDTH:
                return self._choose_width(field, hints, ratio)
            case Hint.DPR:
                return self._choose_dpr(field, hints)
            case _:
                return field.options[-1] if hints.saves_data else field.options[0]

    def _choose_dpr(self, field: OpenField, hints: ClientHints) -> str:
        wanted = self._wanted_ratio(hints)
        return field.options[0] if wanted is None else field.round_up(wanted)

    def _choose_width(self, field: OpenField, hints: ClientHints, ratio: Fraction) -> str:
        if hints.width is not None:
            pixels = Fraction(hints.width)
            if self.saves_data and hints.saves_data and hints.dpr is not None:
                pixels /= max(hints.dpr, Fraction(1))
            return field.round_up((pixels - _ROUNDING_PIXELS) / ratio)
        if hints.viewport_width is not None:
            pixels = hints.viewport_width * (self._wanted_ratio(hints) or Fraction(1))
            return field.round_up(pixels / ratio)
        return field.options[0]

    def _wanted_ratio(self, hints: ClientHints) -> Fraction | None:
        """The device pixel ratio that the client counts as having; None where it is unknown."""
        if self.saves_data and hints.saves_data:
            return min(hints.dpr or Fraction(1), Fraction(1))
        return hints.dpr
