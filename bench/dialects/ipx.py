"""IPX beside Framekeep: 60 links in its grammar."""

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path

from compare import Link

from proxy.errors import ProxyError
from proxy.limits import Limits
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.ipx import IpxDialect
from proxy.links.ipx.config import IpxConfig
from proxy.links.ipx.modifiers import MODIFIERS
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

INSTALLED = Path(sys.prefix) / "clients" / "node"
PROGRAM = Path(__file__).with_name("ipx.mjs")

_GEOMETRY = (
    "_", "w_300", "h_200", "w_301", "h_77", "w_900", "h_900", "w_900,enlarge", "h_700,enlarge",
    "s_300x200", "s_200x300", "s_300", "s_900x900", "s_900x300", "s_300x900", "s_900x700,enlarge",
    "s_200x300,pos_left", "s_200x300,pos_right", "s_300x100,pos_top", "s_300x100,pos_southeast",
    "s_200x300,fit_contain", "s_900x300,fit_contain", "s_200x300,fit_contain,pos_top,b_ff8800",
    "s_300x200,fit_contain,b_fff,enlarge", "s_200x300,fit_fill", "s_900x300,fit_fill",
    "s_200x300,fit_inside", "s_900x300,fit_inside", "s_900x900,fit_inside,enlarge",
    "s_200x300,fit_outside", "s_900x300,fit_outside", "s_900x900,fit_outside,enlarge",
    "crop_10_20_300_200", "crop_10_20_300_200,w_100", "crop_10_20_300_200,rotate_90",
    "rotate_90", "rotate_90,w_200", "rotate_90,s_200x100", "rotate_90,h_200", "rotate_180,h_100",
    "rotate_30,b_ffffff", "rotate_30,w_200", "flip", "flop,w_200", "flip,flop,s_100x200,pos_top",
    "flip,rotate_90,s_100x200,pos_top", "extend_10_20_30_40", "extend_10_20_30_40,b_ff0000,w_200",
)  # fmt: skip
_COLORS = (
    "blur_5,w_300", "blur_2", "sharpen_1,w_300", "median_3", "gamma_2.2,w_300", "grayscale,w_300",
    "negate", "normalize,w_300", "threshold_128,w_300", "modulate_1.2_0.5_90", "tint_704214",
    "s_200x300,pos_attention",
)  # fmt: skip


class IpxRival:
    how_to_install = "scripts/install-node-clients does it"
    links: Sequence[Link] = tuple(
        starmap(Link, [*((text, True) for text in _GEOMETRY), *((text, False) for text in _COLORS)])
    )

    def is_installed(self) -> bool:
        return (INSTALLED / "node_modules" / "ipx").is_dir()

    def version(self) -> str:
        versions = []
        for name in ("ipx", "sharp"):
            package = json.loads((INSTALLED / "node_modules" / name / "package.json").read_text())
            versions.append(f"{name} {package['version']}")
        return " with ".join(versions)

    def render(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        program = INSTALLED / PROGRAM.name
        program.write_bytes(PROGRAM.read_bytes())
        ran = subprocess.run(
            ["node", "--no-warnings", str(program), str(original), *(link.text for link in links)],
            check=True, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        results = json.loads(ran.stdout)
        return [
            each["error"] if "error" in each else bytes.fromhex(each["body"]) for each in results
        ]

    def render_here(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        config = IpxConfig(
            allow_sources=("/",),
            allow_modifiers=tuple(MODIFIERS),
            max_renditions=0,
            base_url="local:",
        )
        context = DialectContext(
            OperationRegistry(OPERATIONS),
            LinksConfig(allow_unsigned=True),
            aliases=["local"],
            sections=[config],
        )
        dialect, detector, body = IpxDialect(context), SubjectDetector(), original.read_bytes()
        results: list[bytes | str] = []
        for link in links:
            try:
                request = dialect.parse(f"/{link.text}/{original.name}".encode())
                rendered = render(body, request.plan, Limits(), detector=detector)
            except ProxyError as error:
                results.append(str(error))
            else:
                results.append(rendered.rendition.body)
        return results
