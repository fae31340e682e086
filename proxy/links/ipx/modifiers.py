"""The modifiers of IPX: their names, their values, and what they set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

from proxy.errors import InvalidLink
from proxy.links.ipx.state import Fit, LinkModifiers
from proxy.links.ipx.values import check_count, parse_color, parse_position
from proxy.links.numbers import parse_float, parse_int
from proxy.links.percent_encoding import percent_decode, safe_excerpt

Setter = Callable[[LinkModifiers, str, Sequence[str]], None]
"""Applies a modifier, by the name that the link gives it, with its values."""

MAX_SIDE = 16_384
FORMATS: Mapping[str, str] = {
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "png": "png",
    "webp": "webp",
    "avif": "avif",
    "gif": "gif",
    "heif": "heif",
    "heic": "heif",
    "auto": "auto",
}
"""IPX's names of formats, and those of the operation `convert`."""

ALIASES: Mapping[str, str] = {
    "w": "width",
    "h": "height",
    "s": "resize",
    "q": "quality",
    "f": "format",
    "b": "background",
    "pos": "position",
    "crop": "extract",
    "a": "animated",
}
"""The short names of modifiers, and the long ones."""

_FITS = get_args(Fit)
_MILD_BLUR_SIGMA = 0.8
"""About that of the square of 3x3 pixels whose mean sharp takes without a sigma."""


def _flag(field: str) -> Setter:
    def apply(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
        if args not in ([], ["true"], ["1"]):
            raise InvalidLink(f"{name}: takes no value; leave it out for false")
        setattr(modifiers, field, True)

    return apply


def _side(field: str) -> Setter:
    def apply(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
        check_count(name, args, 1)
        setattr(modifiers, field, parse_int(name, _only(name, args), 1, MAX_SIDE))

    return apply


def _resize(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    width, separator, height = _only(name, args).partition("x")
    box_width = parse_int(f"{name}: width", width, 1, MAX_SIDE)
    box_height = parse_int(f"{name}: height", height, 1, MAX_SIDE) if separator else box_width
    modifiers.box = (box_width, box_height)
    modifiers.is_box_first = name == "resize"


def _fit(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    text = _only(name, args)
    fit = next((known for known in _FITS if known == text), None)
    if fit is None:
        raise InvalidLink(f"{name}: must be one of {', '.join(_FITS)}, not {safe_excerpt(text)}")
    modifiers.fit = fit


def _position(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.position = parse_position(name, _only(name, args))


def _background(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.background = parse_color(name, _only(name, args))


def _tint(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    color = parse_color(name, _only(name, args))
    if color == "transparent":
        raise InvalidLink(f"{name}: must be an opaque color")
    modifiers.tint = color


def _format(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    text = _only(name, args)
    if text not in FORMATS:
        reason = "cannot be written" if text in ("tiff", "svg", "jxl", "raw") else "is unknown"
        raise InvalidLink(
            f"{name}: the format {safe_excerpt(text)} {reason}; formats: {', '.join(FORMATS)}"
        )
    modifiers.format = FORMATS[text]


def _quality(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.quality = parse_int(name, _only(name, args), 1, 100)


def _kernel(_: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    if args not in ([], ["lanczos3"]):
        raise InvalidLink(
            f"{name}: only lanczos3 is possible here, not {safe_excerpt(_only(name, args))}"
        )


def _rotate(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.rotate = parse_float(name, _only(name, args), -3600, 3600)


def _trim(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.trim = parse_float(name, args[0], 0, 255) if args else 10.0


def _extract(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    if len(args) != 4:
        raise InvalidLink(f"{name}: takes 4 values, left_top_width_height, not {len(args)}")
    left, top = (
        parse_int(f"{name}: {side}", text, 0, 1_000_000)
        for side, text in zip(("left", "top"), args[:2], strict=True)
    )
    width, height = (
        parse_int(f"{name}: {side}", text, 1, MAX_SIDE)
        for side, text in zip(("width", "height"), args[2:], strict=True)
    )
    modifiers.extract = (left, top, width, height)


def _extend(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 5)
    if args[4:] not in ([], [""], ["background"]):
        raise InvalidLink(f"{name}: only background is possible here, not {safe_excerpt(args[4])}")
    top, right, bottom, left = (
        parse_int(f"{name}: {side}", text, 0, MAX_SIDE) if text else 0
        for side, text in zip(("top", "right", "bottom", "left"), _fill(args, 4), strict=True)
    )
    modifiers.extend = (top, right, bottom, left)


def _blur(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 3)
    sigma = _fill(args, 1)[0]
    is_mild = sigma in ("", "true")
    modifiers.blur = _MILD_BLUR_SIGMA if is_mild else parse_float(name, sigma, 0.3, 100)


def _sharpen(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    if any(args[1:]):
        raise InvalidLink(f"{name}: takes only sigma here; flat and jagged areas are one")
    sigma = _fill(args, 1)[0]
    modifiers.sharpen = 0.5 if sigma in ("", "true") else parse_float(name, sigma, 0.01, 10)


def _median(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.median = parse_int(name, args[0], 1, 15) if args else 3


def _gamma(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 2)
    before, after = _fill(args, 2)
    gamma = parse_float(name, before, 1, 3) if before else 2.2
    modifiers.gamma = (gamma, parse_float(f"{name}: out", after, 1, 3) if after else gamma)


def _threshold(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.threshold = parse_int(name, args[0], 0, 255) if args else 128


def _normalize(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    if args not in ([], ["true"], ["1"], ["1", "99"]):
        raise InvalidLink(f"{name}: takes no values here: half a percent is cut off at both ends")
    modifiers.normalize = True


def _modulate(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 4)
    brightness, saturation, hue, lightness = _fill(args, 4)
    if lightness not in ("", "0"):
        raise InvalidLink(f"{name}: lightness is not possible here; use brightness")
    if brightness:
        modifiers.brightness = parse_float(f"{name}: brightness", brightness, 0, 10)
    if saturation:
        modifiers.saturation = parse_float(f"{name}: saturation", saturation, 0, 10)
    if hue:
        modifiers.hue = parse_int(f"{name}: hue", hue, -36_000, 36_000)


def _number(field: str, most: float) -> Setter:
    def apply(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
        check_count(name, args, 1)
        setattr(modifiers, field, parse_float(name, _only(name, args), 0, most))

    return apply


def _hue(modifiers: LinkModifiers, name: str, args: Sequence[str]) -> None:
    check_count(name, args, 1)
    modifiers.hue = parse_int(name, _only(name, args), -36_000, 36_000)


def _always_on(_: LinkModifiers, name: str, args: Sequence[str]) -> None:
    if args not in ([], ["true"], ["1"]):
        raise InvalidLink(f"{name}: pictures are always turned upright here")


def _unsupported(reason: str) -> Setter:
    def apply(_: LinkModifiers, name: str, _args: Sequence[str]) -> None:
        raise InvalidLink(f"{name}: is not possible here: {reason}")

    return apply


SIZE_MODIFIERS: Mapping[str, Setter] = {
    "width": _side("width"),
    "height": _side("height"),
    "resize": _resize,
    "quality": _quality,
    "format": _format,
}
"""Those that have lists of their own in the settings."""

MODIFIERS: Mapping[str, Setter] = {
    "fit": _fit,
    "position": _position,
    "background": _background,
    "enlarge": _flag("enlarge"),
    "kernel": _kernel,
    "animated": _flag("animated"),
    "rotate": _rotate,
    "autoorient": _always_on,
    "flip": _flag("flip"),
    "flop": _flag("flop"),
    "trim": _trim,
    "extract": _extract,
    "extend": _extend,
    "flatten": _flag("flatten"),
    "gamma": _gamma,
    "grayscale": _flag("grayscale"),
    "median": _median,
    "threshold": _threshold,
    "blur": _blur,
    "modulate": _modulate,
    "brightness": _number("brightness", 10),
    "saturation": _number("saturation", 10),
    "hue": _hue,
    "sharpen": _sharpen,
    "opacity": _number("opacity", 1),
    "normalize": _normalize,
    "tint": _tint,
    "negate": _flag("negate"),
}

UNSUPPORTED: Mapping[str, Setter] = {
    "lightness": _unsupported("use brightness"),
    "linear": _unsupported("use brightness"),
    "clahe": _unsupported("use normalize"),
    "dilate": _unsupported("there is no operation of this kind"),
    "erode": _unsupported("there is no operation of this kind"),
    "unflatten": _unsupported("there is no operation of this kind"),
}


class Modifier:
    """One modifier as a link writes it: ``name`` is the long one, ``written`` that of the link."""

    def __init__(self, text: str) -> None:
        key, *values = _split(text)
        self.written = key
        self.name = ALIASES.get(key, key)
        decoded = [percent_decode(value) for value in values]
        self.args = decoded if any(decoded) else []

    @property
    def is_omitted(self) -> bool:
        """Whether a client has written a value that it does not have."""
        return self.args == ["undefined"]

    @property
    def text(self) -> str:
        """The modifier with its long name, as the settings list it."""
        return "_".join((self.name, *self.args))

    def apply(self, modifiers: LinkModifiers) -> None:
        setter = SIZE_MODIFIERS.get(self.name) or MODIFIERS.get(self.name)
        setter = setter or UNSUPPORTED.get(self.name)
        if setter is None:
            known = ", ".join((*SIZE_MODIFIERS, *MODIFIERS))
            raise InvalidLink(
                f"there is no modifier {safe_excerpt(self.written)}; modifiers: {known}"
            )
        setter(modifiers, self.written, self.args)


def split_modifiers(segment: str) -> Iterator[Modifier]:
    """The modifiers of a link; ``_`` is none."""
    if segment == "_":
        return
    for text in segment.replace("&", ",").split(","):
        if not text:
            raise InvalidLink("modifiers: one is empty; write _ for none")
        yield Modifier(text)


def _split(text: str) -> list[str]:
    for separator in ":=":
        text = text.replace(separator, "_")
    return text.split("_")


def _only(name: str, args: Sequence[str]) -> str:
    if not args:
        raise InvalidLink(f"{name}: needs a value, such as {name}_{_EXAMPLES.get(name, '1')}")
    return args[0]


_EXAMPLES = {
    "s": "300x200",
    "resize": "300x200",
    "f": "webp",
    "format": "webp",
    "fit": "cover",
    "pos": "top",
    "position": "top",
    "b": "ff8800",
    "background": "ff8800",
    "tint": "ff8800",
}


def _fill(args: Sequence[str], count: int) -> list[str]:
    return [*args, *[""] * count][:count]
