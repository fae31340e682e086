"""Links that thumbor's clients build from tables of calls; run it to write the vectors.

``PYTHONPATH=tests python -m clients.thumbor_links`` writes ``tests/links/thumbor_vectors.json`` and
``tests/links/imagor_vectors.json``: each link with the native link that it means, or the error that
it gets. Look at what changes in them.
"""

import base64
import hmac
import json
from pathlib import Path

from clients.node_scripts import missing_for_node, run_node
from libthumbor import CryptoURL

from proxy.errors import ProxyError
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.links.thumbor import ImagorDialect, ThumborDialect
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

LINKS = Path(__file__).parent.parent / "links"
VECTORS = LINKS / "thumbor_vectors.json"
IMAGOR_VECTORS = LINKS / "imagor_vectors.json"

KEY = "MY_SECURE_KEY"
SOURCE = "https://images.example/photo.jpg"
ENDPOINT = "http://images.test"
LOGO = "https%3A%2F%2Fimages.example%2Flogo.png"

# PyPI libthumbor: the options of CryptoURL.generate.
OPTIONS = [
    {},
    {"width": 300, "height": 200},
    {"width": 300},
    {"height": 200},
    {"width": "orig", "height": 100},
    {"width": 300, "height": 200, "smart": True},
    {"width": 300, "height": 200, "flip": True},
    {"width": 300, "height": 200, "flop": True},
    {"width": 300, "height": 200, "flip": True, "flop": True},
    {"flip": True},
    {"flop": True},
    *({"width": 300, "height": 200, "halign": side} for side in ("left", "center", "right")),
    *({"width": 300, "height": 200, "valign": side} for side in ("top", "middle", "bottom")),
    {"width": 90, "height": 90, "halign": "left", "valign": "bottom"},
    {"width": 90, "height": 90, "halign": "right", "valign": "top", "smart": True},
    {"crop": ((10, 20), (300, 400))},
    {"crop": ((0, 0), (0, 0)), "width": 50},
    {"crop": ((10, 20), (300, 400)), "width": 150, "height": 150, "smart": True},
    {"trim": True},
    {"trim": ("top-left", 0)},
    {"trim": ("bottom-right", 20), "width": 100},
    {"meta": True, "width": 300, "height": 200},
    {"fit_in": True, "width": 300, "height": 200},
    {"fit_in": True, "width": 300},
    {"full_fit_in": True, "width": 300, "height": 200},
    {"adaptive_fit_in": True, "width": 300, "height": 200},
    {"adaptive_full_fit_in": True, "width": 300, "height": 200},
    {"fit_in": True, "width": 300, "height": 200, "flip": True, "filters": ["fill(red)"]},
]
FILTERS = [
    "autojpg()",
    "background_color(ff8800)",
    "background_color(navy)",
    "blur(4)",
    "blur(9,2)",
    "brightness(20)",
    "brightness(-30)",
    "colorize(40,20,10,ff0000)",
    "contrast(30)",
    "convolution(-1;-1;-1;-1;8;-1;-1;-1;-1,3,false)",
    "cover()",
    "curve([(0,0),(255,255)],[(0,50),(255,255)],[(0,0),(255,255)],[(0,0),(255,255)])",
    "equalize()",
    "extract_focal()",
    "fill(auto)",
    "fill(blur)",
    "fill(ff8800)",
    "fill(transparent)",
    "fill(white,true)",
    "focal(10x20:110x70)",
    "format(avif)",
    "format(gif)",
    "format(heic)",
    "format(jpeg)",
    "format(png)",
    "format(webp)",
    f"frame({LOGO})",
    "gifv(webm)",
    "grayscale()",
    "max_age(600)",
    "max_bytes(15000)",
    "no_upscale()",
    "noise(10)",
    "proportion(0.5)",
    "quality(40)",
    "quality(100)",
    "red_eye()",
    "rgb(20,-20,40)",
    "rotate(90)",
    "rotate(180)",
    "rotate(45)",
    "round_corner(20,255,255,255)",
    "round_corner(20|30,0,0,0)",
    "round_corner(20,255,0,0,true)",
    "saturation(0)",
    "saturation(1.6)",
    "sharpen(2,1.0,true)",
    "stretch()",
    "strip_exif()",
    "strip_icc()",
    "upscale()",
    f"watermark({LOGO})",
    f"watermark({LOGO},10,20,50)",
    f"watermark({LOGO},-10,-20,0)",
    f"watermark({LOGO},10p,-20p,0)",
    f"watermark({LOGO},center,center,30)",
    f"watermark({LOGO},repeat,repeat,60)",
    f"watermark({LOGO},repeat,-5,60)",
    f"watermark({LOGO},center,repeat,60)",
    f"watermark({LOGO},-10,-10,0,30)",
    f"watermark({LOGO},-10,-10,0,none,20)",
    f"watermark({LOGO},-10,-10,0,30,20)",
    f"watermark({LOGO},diagonal,0)",
]
CHAINS = [
    ["grayscale()", "quality(60)", "format(webp)"],
    ["round_corner(20,255,255,255)", "blur(3)", "rotate(270)"],
    ["fill(green)", "proportion(0.5)"],
    ["brightness(10)", "contrast(10)", "saturation(1.2)", "sharpen(1,0.5,false)"],
]
# imagor has no builder of its own on PyPI or npm: parts as its documentation writes them.
IMAGOR = [
    "fit-in/200x150",
    "full-fit-in/200x150",
    "adaptive-fit-in/200x300",
    "adaptive-full-fit-in/200x300",
    "stretch/200x300",
    "fit-in/stretch/200x300",
    "-200x-100",
    "200x0",
    "0x200",
    "200x200/smart",
    "200x200/left/top",
    "200x200/right/bottom",
    "0.1x0.2:0.8x0.9/200x100",
    "10x20:300x400/200x100",
    "trim",
    "trim:50",
    "trim:bottom-right:20/100x100",
    "fit-in/300x300/20x30/filters:fill(yellow)",
    "fit-in/300x300/20x30:40x50/filters:fill(none)",
    "300x300/5x5",
    "meta/300x200",
    "params/300x200",
    "300xorig",
    "0x0",
    "meta/trim/0x0",
    "200x100/left/middle",
    "200x100/center/top",
    "fit-in/1x1/0x0:3x3",
    "x100",
    "-0x0",
    "0x-0",
    ".1x.1:.5x.5",
    "left/smart",
    "fit-in/-200x150/filters:fill(blur)",
    "fit-in/200x150/filters:fill(auto):quality(70):format(webp)",
    "200x200/top/filters:round_corner(20):grayscale():hue(20)",
    "200x200/filters:watermark(https://images.example/a(1).png,10,10)",
    "trim:top-left:10/10x10:90x90/fit-in/50x50/5x5:5x5/filters:fill(white)",
    "200x200/right/middle/smart/filters:no_upscale()",
    "full-fit-in/200x150/filters:upscale():strip_exif()",
]
IMAGOR_FILTERS = [
    *FILTERS,
    "attachment(holiday.jpg)",
    "attachment()",
    "bitdepth(8)",
    "blur(2.5)",
    "blurhash(4,3)",
    "compression(9)",
    "crop(10,20,100,80)",
    "crop(0.1,0.1,0.5,0.5)",
    "dpi(300)",
    "draw_detections()",
    "expire(4102444800000)",
    "fill(none)",
    "focal(0.2x0.2:0.5x0.6)",
    "focal(0.5,0.3)",
    "focal(120,80)",
    "format(jxl)",
    "format(tiff)",
    "hue(90)",
    "image(/200x200/images.example/logo.png,10,10)",
    "invert()",
    "label(Hello,center,bottom,30,red)",
    "label(Hello,10,20,30)",
    "text(b64:SGVsbG8)",
    "lossless()",
    "max_frames(3)",
    "orient(90)",
    "page(2)",
    "palette()",
    "pixelate(12)",
    "preview()",
    "raw()",
    "redact(blur,20)",
    "redact(pixelate)",
    "redact_oval()",
    "rotate(270)",
    "round_corner(20,10,ff8800)",
    "round_corner(40)",
    "saturation(-40)",
    "sharpen(1.5)",
    "strip_metadata()",
    "thumbhash()",
    "to_colorspace(srgb)",
    "to_colorspace(cmyk)",
    "trim(20)",
    "watermark(images.example/logo.png,left,bottom,20)",
]


def node_links(endpoint: str = ENDPOINT, source: str = SOURCE) -> list[dict]:
    """What the clients for Node build; empty where they are not installed."""
    return [] if missing_for_node() else run_node("thumbor.js", endpoint, KEY, source)


def python_links(source: str = SOURCE, logo: str = LOGO) -> list[dict]:
    """What libthumbor builds."""
    crypto = CryptoURL(key=KEY)
    filtered = [{"width": 200, "height": 150, "filters": [text]} for text in FILTERS]
    fitted = [{"width": 200, "height": 150, "fit_in": True, "filters": chain} for chain in CHAINS]
    return [
        {
            "client": "libthumbor",
            "call": options,
            "path": crypto.generate(image_url=source, **_with_logo(options, logo)),
        }
        for options in (*OPTIONS, *filtered, *fitted)
    ]


def imagor_links(source: str = SOURCE) -> list[dict]:
    """Links as imagor signs them."""
    filtered = [f"200x150/filters:{text}" for text in IMAGOR_FILTERS]
    paths = [f"{parts}/{source}" for parts in (*IMAGOR, *filtered)]
    encoded = base64.urlsafe_b64encode(source.encode()).decode().rstrip("=")
    paths += [source, f"100x100/b64:{encoded}", "100x100/images.example/photo.jpg", "color:red"]
    return [
        {"client": "imagor", "call": path, "path": f"/{sign(path, 'sha256')}/{path}"}
        for path in paths
    ]


def sign(path: str, algorithm: str = "sha1") -> str:
    mac = hmac.digest(KEY.encode(), path.encode(), algorithm)
    return base64.urlsafe_b64encode(mac).decode()


def native_link(path: str, *, is_imagor: bool = False) -> dict:
    """The native link that a link means, or its error."""
    config = (
        ImagorConfig(keys=(KEY,), signature_algorithm="sha256")
        if is_imagor
        else ThumborConfig(keys=(KEY,), allow_unsigned=True)
    )
    context = DialectContext(
        OperationRegistry(OPERATIONS), LinksConfig(allow_unsigned=True), sections=[config]
    )
    dialect = (ImagorDialect if is_imagor else ThumborDialect)(context)
    try:
        return {"native": NativeDialect(context).build(dialect.parse(path.encode()))}
    except ProxyError as error:
        return {"error": str(error)}


def _with_logo(options: dict, logo: str) -> dict:
    filters = [text.replace(LOGO, logo) for text in options.get("filters", ())]
    return {**options, "filters": filters} if filters else options


def _write(file: Path, links: list[dict], *, is_imagor: bool) -> None:
    vectors = [{**link, **native_link(link["path"], is_imagor=is_imagor)} for link in links]
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    _write(VECTORS, [*python_links(), *node_links()], is_imagor=False)
    _write(IMAGOR_VECTORS, imagor_links(), is_imagor=True)
