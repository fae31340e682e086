"""The versions of the decoders inside pillow-heif, from its private extension module."""

from collections.abc import Mapping

import _pillow_heif  # pillow_heif itself would load Pillow

from proxy.compat import check, has_all

check(
    "pillow-heif",
    {"_pillow_heif.get_lib_info exists": has_all(_pillow_heif, ("get_lib_info",))},
)


def library_versions() -> Mapping[str, str]:
    """Return the versions by library: libheif, and libde265 where it is the decoder."""
    info = _pillow_heif.get_lib_info()
    versions = {"libheif": str(info["libheif"])}
    decoder = info["decoders"].get("libde265", "").rpartition(" ")[2]
    return {**versions, "libde265": decoder} if decoder else versions
