"""Parse the options of imgproxy links and of presets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from proxy.errors import InvalidLink
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.imgproxy.encoder_options import ENCODER_OPTIONS
from proxy.links.imgproxy.options import PIPELINE_OPTIONS, Setter
from proxy.links.imgproxy.output_options import (
    OUTPUT_OPTIONS,
    SECURITY_OPTIONS,
    UNSUPPORTED_OPTIONS,
)
from proxy.links.imgproxy.state import ImgproxyState, Pipeline
from proxy.links.percent_encoding import safe_excerpt

MAX_PIPELINES = 8

_TABLES = (PIPELINE_OPTIONS, OUTPUT_OPTIONS, ENCODER_OPTIONS, UNSUPPORTED_OPTIONS)
_SETTERS: Mapping[str, Setter] = {
    name: setter for table in _TABLES for names, setter in table.items() for name in names
}
_LONG_NAMES: Mapping[str, str] = {
    name: names[0] for table in _TABLES for names in table for name in names
}
_PRESET = ("preset", "pr")
_INFO_OPTIONS = frozenset(("expires", "cachebuster", "preset"))
_INFO_FIELDS: Mapping[str, str] = {
    "s": "size",
    "f": "format",
    "d": "dimensions",
    "do": "detect_objects",
    "dc": "dominant_colors",
    "th": "thumbhash",
    "a": "alpha",
    "pn": "pages_number",
}
"""Parts of the description that an info link may ask for: all of them are always in it."""
_DEFAULT_PRESET = "default"


class OptionParser:
    def __init__(self, config: ImgproxyConfig) -> None:
        """Raise ValueError for a preset or a name of an option that is invalid."""
        self._separator = config.arguments_separator
        self._allow_security_options = config.allow_security_options
        self._presets = {
            name: [segment for segment in text.strip("/").split("/") if segment]
            for name, text in config.presets.items()
        }
        known = {*_LONG_NAMES, *_PRESET}
        for name in config.allow_options:
            if name not in known:
                raise ValueError(f"FRAMEKEEP_IMGPROXY_ALLOW_OPTIONS: unknown option {name!r}")
        self._allowed = frozenset(_long_name(name) for name in config.allow_options)
        for name in self._presets:
            try:
                self._apply_preset(self._start(), name, ())
            except InvalidLink as error:
                raise ValueError(f"FRAMEKEEP_IMGPROXY_PRESETS: {name!r}: {error}") from error

    def parse(self, segments: Sequence[str]) -> tuple[ImgproxyState, Sequence[str]]:
        """Parse the segments; return what they say, and those from the source on.

        Raises InvalidLink, naming the segment, the option and the values that it takes.
        """
        state = self._start()
        for number, segment in enumerate(segments, 2):
            if segment == "-":
                self._add_pipeline(state)
            elif self._separator in segment:
                with _error_location(number, segment):
                    self._apply(state, segment, (), is_checked=True)
            else:
                return state, segments[number - 2 :]
        raise InvalidLink(f"segment {len(segments) + 2}: source missing: a link ends with it")

    def parse_presets(self, names: str) -> ImgproxyState:
        """Parse the first segment of a link in which there are only presets."""
        state = self._start()
        with _error_location(2, names):
            for name in names.split(self._separator):
                self._apply_preset(state, name, ())
        return state

    def parse_info(self, segments: Sequence[str]) -> tuple[ImgproxyState, Sequence[str]]:
        """Parse the options of an info link; its answer has all that it can be asked for."""
        kept: list[str] = []
        for number, segment in enumerate(segments, 2):
            name, found, _ = segment.partition(self._separator)
            if not found:
                return self.parse([*kept, *segments[number - 2 :]])
            if _long_name(name) in _INFO_OPTIONS:
                kept.append(segment)
            elif name not in (*_INFO_FIELDS, *_INFO_FIELDS.values()):
                known = ", ".join(sorted((*_INFO_OPTIONS, *_INFO_FIELDS.values())))
                raise InvalidLink(
                    f"segment {number} ({safe_excerpt(segment)}): an info link takes only {known}"
                )
        return self.parse(kept)

    def _start(self) -> ImgproxyState:
        state = ImgproxyState()
        if _DEFAULT_PRESET in self._presets:
            self._apply_preset(state, _DEFAULT_PRESET, ())
        return state

    def _add_pipeline(self, state: ImgproxyState) -> None:
        if len(state.pipelines) == MAX_PIPELINES:
            raise InvalidLink(f"at most {MAX_PIPELINES} pipelines are allowed in a link")
        state.pipelines.append(Pipeline())

    def _apply(
        self, state: ImgproxyState, segment: str, open_presets: tuple[str, ...], *, is_checked: bool
    ) -> None:
        name, _, rest = segment.partition(self._separator)
        if is_checked:
            self._check_allowed(name)
        args = rest.split(self._separator)
        if name in _PRESET:
            for preset in args:
                self._apply_preset(state, preset, open_presets)
            return
        setter = _SETTERS.get(name)
        if setter is None:
            close = get_close_matches(name[:64], [*_SETTERS, *_PRESET], 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidLink(f"unknown option {safe_excerpt(name)}{hint}")
        setter(state, name, args)

    def _check_allowed(self, name: str) -> None:
        if self._allowed and _long_name(name) not in self._allowed:
            raise InvalidLink(f"{name}: is not allowed here (FRAMEKEEP_IMGPROXY_ALLOW_OPTIONS)")
        if _long_name(name) in SECURITY_OPTIONS and not self._allow_security_options:
            raise InvalidLink(
                f"{name}: is not allowed here (FRAMEKEEP_IMGPROXY_ALLOW_SECURITY_OPTIONS)"
            )

    def _apply_preset(self, state: ImgproxyState, name: str, open_presets: tuple[str, ...]) -> None:
        if name not in self._presets:
            raise InvalidLink(f"preset: unknown preset {safe_excerpt(name)}")
        if name in open_presets:
            raise InvalidLink(f"preset: cycle: {' > '.join((*open_presets, name))}")
        for segment in self._presets[name]:
            if segment == "-":
                self._add_pipeline(state)
            elif self._separator not in segment:
                raise InvalidLink(f"{safe_excerpt(segment)} is not an option")
            else:
                self._apply(state, segment, (*open_presets, name), is_checked=False)
        if name != _DEFAULT_PRESET and (tag := f"preset:{name}") not in state.tags:
            state.tags.append(tag)


def _long_name(name: str) -> str:
    return "preset" if name in _PRESET else _LONG_NAMES.get(name, name)


@contextmanager
def _error_location(number: int, segment: str) -> Iterator[None]:
    try:
        yield
    except InvalidLink as error:
        error.segment = segment
        raise InvalidLink(f"segment {number} ({safe_excerpt(segment)}): {error}") from error
