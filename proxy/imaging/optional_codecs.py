"""Codecs that plug into Pillow and are optional dependencies, because of their license or size."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from proxy.formats import FormatName


def _register_heif() -> None:
    import_module(_MODULES["heif"]).register_heif_opener(thumbnails=False)


def _register_jxl() -> None:
    import_module(_MODULES["jxl"])  # registers itself


_REGISTER: Mapping[FormatName, Callable[[], None]] = {
    "heif": _register_heif,
    "jxl": _register_jxl,
}


_MODULES: Mapping[FormatName, str] = {"heif": "pillow_heif", "jxl": "pillow_jxl"}


def is_installed(format: FormatName) -> bool:
    """Whether the package of an optional codec is there; nothing is loaded."""
    return find_spec(_MODULES[format]) is not None


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
