"""Libraries with holes that a picture can reach: which, up to which version, and which are here.

Listed is what lets the bytes of a picture write or read memory that is not theirs, in decoders that
are called here. A render process is confined, which makes such a hole worth less, not harmless.

What can be asked: libvips itself, a libheif and a libwebp that it loads, the libheif and libde265
of pillow-heif. What comes inside pyvips-binary does not tell its version, so the version of that
package stands for it. libjxl cannot be asked, nor can the libjpeg-turbo of simplejpeg.
"""

import ctypes
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pyvips
from msgspec import Struct

from proxy.formats import Name


class Advisory(Struct, frozen=True):
    """A hole that is closed from version ``safe`` on, and by the pictures of which formats."""

    library: str
    safe: str
    name: str
    formats: tuple[Name, ...]


ADVISORIES = (
    # A TIFF of many bands makes offsets into memory wrap round.
    Advisory("libvips", "8.18.3", "CVE-2026-69242", ("tiff",)),
    # A second alpha plane is written over a smaller one.
    Advisory("libheif", "1.23.2", "CVE-2026-84383", ("avif",)),
    Advisory("libheif of pillow-heif", "1.23.2", "CVE-2026-84383", ("heif",)),
    # Planes of unequal depth in uncompressed pictures; 8.18.7 is the first with the new libheif.
    Advisory("libheif", "1.23.3", "GHSA-x8r2-mggj-j6wr", ("avif",)),
    Advisory("libheif of pillow-heif", "1.23.3", "GHSA-x8r2-mggj-j6wr", ("heif",)),
    Advisory("pyvips-binary", "8.18.7", "GHSA-x8r2-mggj-j6wr", ("avif",)),
    # A predicted set of reference pictures is longer than its table.
    Advisory("libde265 of pillow-heif", "1.1.0", "GHSA-g2rg-wj66-w594", ("heif",)),
    # Huffman tables of lossless WebP are longer than what was set aside for them.
    Advisory("libwebp", "1.3.2", "CVE-2023-4863", ("webp",)),
)


def holes(
    versions: Mapping[str, str], formats: Collection[Name], patched: Collection[str] = ()
) -> Iterator[str]:
    """A sentence for each hole in these libraries that pictures of these formats can reach.

    ``patched`` names advisories that do not count, since a library was mended without a new number.
    """
    for advisory in ADVISORIES:
        reached = [form for form in advisory.formats if form in formats]
        version = versions.get(advisory.library)
        if not reached or version is None or advisory.name in patched:
            continue
        if _numbers(version) < _numbers(advisory.safe):
            yield (
                f"{advisory.library} {version} has a hole that a picture can reach "
                f"({advisory.name}): update it to {advisory.safe} or later, or leave "
                f"{' and '.join(reached)} out of FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS"
            )


@cache
def installed() -> Mapping[str, str]:
    """The versions of the libraries of this process, of those that can be asked."""
    versions = {"libvips": ".".join(str(pyvips.version(part)) for part in range(3))}
    for path in _loaded():
        if "pyvips_binary" in path:
            versions["pyvips-binary"] = metadata.version("pyvips-binary")
        elif "pillow" not in path and re.search(r"/libheif[.-]", path):
            ask = ctypes.CDLL(path).heif_get_version
            ask.restype = ctypes.c_char_p
            versions["libheif"] = ask().decode()
        elif "pillow" not in path and re.search(r"/libwebp[.-]", path):
            packed = ctypes.CDLL(path).WebPGetDecoderVersion()
            versions["libwebp"] = ".".join(str(packed >> shift & 255) for shift in (16, 8, 0))
    return {**versions, **_of_pillow_heif()}


def _loaded() -> set[str]:
    """The files that are mapped into this process."""
    lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    return {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6}


def _of_pillow_heif() -> Mapping[str, str]:
    try:
        import _pillow_heif  # noqa: PLC0415 - an extra, of which no more than this is needed here
    except ImportError:
        return {}
    told = _pillow_heif.get_lib_info()
    decoder = told["decoders"].get("libde265", "").rpartition(" ")[2]
    return {
        "libheif of pillow-heif": told["libheif"],
        **({"libde265 of pillow-heif": decoder} if decoder else {}),
    }


def _numbers(version: str) -> tuple[int, ...]:
    """Empty, and so below every version, where there is no number to be read."""
    found = re.match(r"\d+(\.\d+)*", version, re.ASCII)
    return tuple(map(int, found[0].split("."))) if found else ()
