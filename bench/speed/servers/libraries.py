"""Which libvips and which JPEG library a program is linked with.

It matters in a comparison: mozjpeg takes several times the CPU of libjpeg-turbo.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_LIBVIPS_VERSION = (
    "import ctypes, sys\n"
    "libvips = ctypes.CDLL(sys.argv[1])\n"
    "libvips.vips_version_string.restype = ctypes.c_char_p\n"
    "print(libvips.vips_version_string().decode())\n"
)
_JPEG_VERSION = re.compile(rb"(libjpeg-turbo|mozjpeg) version (\d[\d.]*)")


def describe_libraries(program: str) -> str:
    """For example ``libvips 8.14.1, libjpeg-turbo 2.1.5``."""
    linked = _linked_libraries(program)
    found = []
    for name, path in linked.items():
        if name.startswith("libvips.so"):
            done = subprocess.run(
                [sys.executable, "-c", _LIBVIPS_VERSION, path],
                check=False,
                capture_output=True,
                text=True,
            )
            found.append(f"libvips {done.stdout.strip() or '(of unknown version)'}")
    candidates = [
        path for name, path in linked.items() if re.match(r"libjpeg\.so|libvips(-cpp)?\.so", name)
    ]
    for path in [*candidates, program]:
        if match := _JPEG_VERSION.search(Path(path).read_bytes()):
            found.append(f"{match[1].decode()} {match[2].decode()}")
            break
    return ", ".join(found) or "unknown libraries"


def _linked_libraries(program: str) -> dict[str, str]:
    """Paths of shared libraries by name, those of the libraries included."""
    done = subprocess.run(["ldd", program], check=False, capture_output=True, text=True)
    return dict(re.findall(r"^\s*(\S+) => (\S+) \(", done.stdout, re.MULTILINE))
