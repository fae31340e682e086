"""Render the same links with another image server and with Framekeep, and compare the results.

    python bench/dialects ipx|thumbor|imagor [--markdown] [--folder FOLDER]

Sizes must be equal. The window is what part of the original is shown: the difference of its middle
in pixels of the result, measured with an original whose colors are coordinates. The look is the
mean CIEDE2000 of a photograph. IPX is the one that `scripts/install-node-clients` installs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from compare import Comparison, Rival, compare, format_markdown, write_originals
from imgproxy_rival import ImgproxyRival
from ipx import IpxRival
from thumbor import ImagorRival, ThumborRival

RIVALS: dict[str, type[Rival]] = {
    "imgproxy": ImgproxyRival,
    "ipx": IpxRival,
    "thumbor": ThumborRival,
    "imagor": ImagorRival,
}
"""One line for each server: its links, and how both sides render them."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dialect", choices=RIVALS)
    parser.add_argument("--markdown", action="store_true", help="print the table of the docs")
    parser.add_argument("--folder", type=Path, help="where the results are kept, to look at them")
    arguments = parser.parse_args()
    rival = RIVALS[arguments.dialect]()
    if not rival.is_installed():
        print(f"{arguments.dialect} is not installed: {rival.how_to_install}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        originals = write_originals(folder)
        rows = compare(rival, originals, folder)
    print(f"{rival.version()}, {len(rows)} links")
    print(format_markdown(rows) if arguments.markdown else "\n".join(map(_line, rows)))
    return 0


def _line(row: Comparison) -> str:
    window = "-" if row.window is None else f"{row.window:.2f}"
    look = "-" if row.look is None else f"{row.look:.2f}"
    return f"{row.link:44} {row.sizes:24} window {window:>6} look {look:>6} {row.note}"


if __name__ == "__main__":
    sys.exit(main())
