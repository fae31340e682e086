"""libvips' error buffer, and the log that pyvips writes it to."""

import logging

import pyvips

from proxy.compat import check, has_all

check(
    "pyvips",
    {
        "ffi and vips_lib reach libvips itself": has_all(pyvips, ("ffi", "vips_lib")),
        "vips_lib has the functions of the error buffer": has_all(
            getattr(pyvips, "vips_lib", None), ("vips_error_buffer", "vips_error_clear")
        ),
        "errors are logged as pyvips.error": pyvips.error.logger.name == "pyvips.error",
    },
)

error_log = logging.getLogger("pyvips.error")


def clear_errors() -> None:
    pyvips.vips_lib.vips_error_clear()


def read_errors() -> str:
    """Return the error buffer of this process, and leave it as it is."""
    message: bytes = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return message.decode(errors="replace")
