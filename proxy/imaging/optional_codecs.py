"""Codecs that Pillow gets from extras: left out by default because of their licence or size."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from proxy.formats import Name


def _heif() -> None:
    import_module("pillow_heif").register_heif_opener(thumbnails=False)


def _jxl() -> None:
    import_module("pillow_jxl")  # registers itself


_PLUGINS: Mapping[Name, Callable[[], None]] = {"heif": _heif, "jxl": _jxl}


@cache
def missing(form: Name) -> str:
    """What has to be installed for a format, empty where nothing has to be."""
    plugin = _PLUGINS.get(form)
    if plugin is None:
        return ""
    try:
        plugin()
    except ImportError:
        return f"framekeep[{form}]"
    return ""
