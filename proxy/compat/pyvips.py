"""libvips' error buffer, the log that pyvips writes it to, and quick access to images.

pyvips looks for a property by name before each operation, and makes and logs an error where there
is none; a property takes 6 µs. Together that was 1 ms of a small rendition's 38.
"""

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pyvips

from proxy.compat import check, has_all

check(
    "pyvips",
    {
        "ffi and vips_lib reach libvips itself": has_all(pyvips, ("ffi", "vips_lib")),
        "vips_lib has the functions of the error buffer": has_all(
            getattr(pyvips, "vips_lib", None), ("vips_error_buffer", "vips_error_clear")
        ),
        "gobject_lib has the functions of properties": has_all(
            getattr(pyvips, "gobject_lib", None),
            ("g_object_get_property", "g_value_get_enum", "g_value_get_int", "g_value_init"),
        ),
        "errors are logged as pyvips.error": pyvips.error.logger.name == "pyvips.error",
        "operations are found as attributes of images": "__getattr__" in vars(pyvips.Image),
    },
)

error_log = logging.getLogger("pyvips.error")

_INTEGERS = ("width", "height", "bands")
_ENUMS = (("format", "VipsBandFormat"), ("interpretation", "VipsInterpretation"))


def clear_errors() -> None:
    pyvips.vips_lib.vips_error_clear()


def read_errors() -> str:
    """Return the error buffer of this process, and leave it as it is."""
    message: bytes = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return message.decode(errors="replace")


def _property(name: str, gtype: int, read: Callable[[Any], Any]) -> property:
    """A property that reads a number as libvips holds it."""
    encoded, lib, new = name.encode(), pyvips.gobject_lib, pyvips.ffi.new

    def get(image: pyvips.Image) -> Any:
        value = new("GValue *")
        lib.g_value_init(value, gtype)
        lib.g_object_get_property(image.gobject, encoded, value)
        return read(value)

    return property(get)


def _add_properties() -> None:
    lib = pyvips.gobject_lib
    for name in _INTEGERS:
        setattr(pyvips.Image, name, _property(name, pyvips.GValue.gint_type, lib.g_value_get_int))
    for name, type_name in _ENUMS:
        gtype = pyvips.type_from_name(type_name)
        nickname = cache(partial(pyvips.GValue.from_enum, gtype))

        def read(value: Any, nickname: Callable[[int], str] = nickname) -> str:
            return nickname(lib.g_value_get_enum(value))

        setattr(pyvips.Image, name, _property(name, gtype, read))


def _remember_operations() -> None:
    """Find an operation without a search for a property, once it was found with one."""
    find, call = pyvips.Image.__getattr__, pyvips.Operation.call
    operations: set[str] = set()

    def find_quickly(image: pyvips.Image, name: str) -> Any:
        if name in operations:
            return partial(call, name, image)
        found = find(image, name)
        if callable(found):
            operations.add(name)
        return found

    setattr(pyvips.Image, "__getattr__", find_quickly)  # noqa: B010 - mypy allows no assignment


_add_properties()
_remember_operations()
