"""Known vulnerabilities of image libraries that an image file can exploit.

pyproject.toml requires fixed versions; a system's own packages may still be older, and
`framekeep doctor` warns about them. Listed are bugs in decoders that are called here, by which an
image reads or writes memory out of bounds. The sandbox of render processes limits what such a bug
is worth, but does not remove it.

Some libraries do not report their version: for what is inside pyvips-binary, the version of that
package is compared. libjxl and the libjpeg-turbo of simplejpeg are not checked at all.
"""

import ctypes
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pyvips
from msgspec import Struct

from proxy.formats import FormatName


class Advisory(Struct, frozen=True):
    """A vulnerability of a library before version ``fixed_in``, in files of these formats."""

    library: str
    fixed_in: str
    id: str
    formats: tuple[FormatName, ...]


ADVISORIES = (
    # A TIFF with many bands overflows an offset into memory.
    Advisory("libvips", "8.18.3", "CVE-2026-69242", ("tiff",)),
    # A second alpha plane overflows a smaller first one.
    Advisory("libheif", "1.23.2", "CVE-2026-84383", ("avif",)),
    Advisory("libheif of pillow-heif", "1.23.2", "CVE-2026-84383", ("heif",)),
    # Planes of unequal depth in uncompressed images; pyvips-binary 8.18.7 has the fixed libheif.
    Advisory("libheif", "1.23.3", "GHSA-x8r2-mggj-j6wr", ("avif",)),
    Advisory("libheif of pillow-heif", "1.23.3", "GHSA-x8r2-mggj-j6wr", ("heif",)),
    Advisory("pyvips-binary", "8.18.7", "GHSA-x8r2-mggj-j6wr", ("avif",)),
    # A predicted set of reference pictures overflows its table.
    Advisory("libde265 of pillow-heif", "1.1.0", "GHSA-g2rg-wj66-w594", ("heif",)),
    # Huffman tables of lossless WebP overflow their buffer.
    Advisory("libwebp", "1.3.2", "CVE-2023-4863", ("webp",)),
)


def vulnerabilities(versions: Mapping[str, str], formats: Collection[FormatName]) -> Iterator[str]:
    """Describe each vulnerability of these libraries that files of these formats can exploit."""
    for advisory in ADVISORIES:
        exploitable = [format for format in advisory.formats if format in formats]
        version = versions.get(advisory.library)
        if exploitable and version is not None and _parse(version) < _parse(advisory.fixed_in):
            yield (
                f"{advisory.library} {version} is vulnerable to {' and '.join(exploitable)} files "
                f"({advisory.id}, fixed in {advisory.fixed_in})"
            )


@cache
def library_versions() -> Mapping[str, str]:
    """The versions of the image libraries in this process, of those that report it."""
    versions = {"libvips": ".".join(str(pyvips.version(part)) for part in range(3))}
    for path in _loaded_files():
        if "pyvips_binary" in path:
            versions["pyvips-binary"] = metadata.version("pyvips-binary")
        elif "pillow" not in path and re.search(r"/libheif[.-]", path):
            get_version = ctypes.CDLL(path).heif_get_version
            get_version.restype = ctypes.c_char_p
            versions["libheif"] = get_version().decode()
        elif "pillow" not in path and re.search(r"/libwebp[.-]", path):
            packed = ctypes.CDLL(path).WebPGetDecoderVersion()
            versions["libwebp"] = ".".join(str(packed >> shift & 255) for shift in (16, 8, 0))
    return {**versions, **_pillow_heif_versions()}


def _loaded_files() -> set[str]:
    """The files that are mapped into this process."""
    lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    return {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6}


def _pillow_heif_versions() -> Mapping[str, str]:
    try:
        from proxy.compat import pillow_heif  # noqa: PLC0415 - optional
    except ModuleNotFoundError:
        return {}
    versions = pillow_heif.library_versions()
    return {f"{name} of pillow-heif": version for name, version in versions.items()}


def _parse(version: str) -> tuple[int, ...]:
    """The numbers of a version; empty, and so lower than any version, where there are none."""
    match = re.match(r"\d+(\.\d+)*", version, re.ASCII)
    return tuple(map(int, match[0].split("."))) if match else ()
