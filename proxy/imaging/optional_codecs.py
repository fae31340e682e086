"""Codecs that plug into Pillow and are optional dependencies, because of their license or size."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from proxy.formats import FormatName


def _register_heif() -> None:
    import_module("pillow_heif").register_heif_opener(thumbnails=False)


def _register_jxl() -> None:
    import_module("pillow_jxl")  # registers itself


_REGISTER: Mapping[FormatName, Callable[[], None]] = {
    "heif": _register_heif,
    "jxl": _register_jxl,
}


@cache
def missing_package(format: FormatName) -> str:
    """Register the codec of a format; the name of the package to install where it is missing."""
    register = _REGISTER.get(format)
    if register is None:
        return ""
    try:
        register()
    except ImportError:
        return f"framekeep[{format}]"
    return ""
