"""Writes vectors.json, which the tests of every client read: ``python clients/vectors.py``.

Links are signed by the server's own code, and parsed by it. Look at what changes in the file.
"""

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
VECTORS = FOLDER / "vectors.json"
sys.path.insert(0, str(FOLDER / "python"))

from framekeep_links import (  # noqa: E402 - from here
    DEFAULT_WIDTHS,
    SAME_SIZE_STEPS,
    Picture,
    Signer,
    choose,
    step,
    width_grid,
)

from proxy.links.config import LinksConfig  # noqa: E402 - the same
from proxy.links.dialect import DialectContext  # noqa: E402
from proxy.links.native import UNSIGNED, NativeDialect  # noqa: E402
from proxy.operations import OPERATIONS  # noqa: E402
from proxy.operations.registry import OperationRegistry  # noqa: E402

BASE = "https://img.example.com/img"
KEY = "943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881"
PHOTO = "https://cdn.example.com/u/42.jpg"
Case = dict[str, Any]

CONTEXT = DialectContext(
    OperationRegistry(OPERATIONS),
    LinksConfig(keys=(KEY,), presets={"card": "smart_crop:400:300"}, allow_unsigned=True),
    aliases=("media",),
)
DIALECT = NativeDialect(CONTEXT)

# The source, its steps, and the source that the server reads from the link.
LINKS: list[tuple[str, tuple[str, ...], str]] = [
    (PHOTO, (), PHOTO),
    (PHOTO, ("resize:800:600", "convert:auto"), PHOTO),
    (PHOTO, ("smart_crop:1200:630", "sharpen:0.8", "convert:webp:85"), PHOTO),
    (PHOTO, ("preset:card",), PHOTO),
    (PHOTO, ("v:2", "expires:4102444800", "filename:holiday", "tag:user-7"), PHOTO),
    (PHOTO, ("info:16x9",), PHOTO),
    (PHOTO, ("text:50%20%25%20off:40",), PHOTO),
    ("https://cdn.example.com/u/42.jpg?x=1&y=a,b", ("resize:80",),
     "https://cdn.example.com/u/42.jpg?x=1&y=a,b"),
    ("HTTPS://CDN.example.com/A.JPG", ("resize:80",), "https://CDN.example.com/A.JPG"),
    ("https://cdn.example.com/a b/ü.jpg?q=ä ö", ("resize:80",),
     "https://cdn.example.com/a%20b/%C3%BC.jpg?q=%C3%A4%20%C3%B6"),
    ("https://cdn.example.com/a%20b/100%.jpg", ("resize:80",),
     "https://cdn.example.com/a%20b/100%25.jpg"),
    ('https://cdn.example.com/[a]|"b"<c>^`{d}.jpg', (),
     "https://cdn.example.com/%5Ba%5D%7C%22b%22%3Cc%3E%5E%60%7Bd%7D.jpg"),
    ("https://cdn.example.com/日本/🖼.png", ("resize:80",),
     "https://cdn.example.com/%E6%97%A5%E6%9C%AC/%F0%9F%96%BC.png"),
    ("https://bücher.example/a.jpg", ("resize:80",), "https://bücher.example/a.jpg"),
    ("https://cdn.example.com/a/../b.jpg", ("resize:80",), "https://cdn.example.com/a/../b.jpg"),
    ("https://cdn.example.com//a.jpg", ("resize:80",), "https://cdn.example.com//a.jpg"),
    ("https://cdn.example.com/a.jpg?", ("resize:80",), "https://cdn.example.com/a.jpg?"),
    ("https://cdn.example.com/a.jpg,", ("resize:80",), "https://cdn.example.com/a.jpg,"),
    ("https://proxy.example/https://cdn.example.com/a.jpg", ("resize:80",),
     "https://proxy.example/https://cdn.example.com/a.jpg"),
    ("media:users/42.jpg", ("resize:200:200",), "media:users/42.jpg"),
    ("media:users/ü & more?,:=%20#1.jpg", ("resize:200",), "media:users/ü & more?,:=%20#1.jpg"),
    ("media:users/../42.jpg", ("resize:200",), "media:users/../42.jpg"),
    ("media:users//42.jpg", ("resize:200",), "media:users//42.jpg"),
]  # fmt: skip

STEPS: list[Case] = [
    {"name": "flip", "values": [], "fields": {}},
    {"name": "resize", "values": [800, 600], "fields": {}},
    {"name": "resize", "values": [800, None, "inside"], "fields": {}},
    {"name": "resize", "values": [800], "fields": {"fit": "contain", "background": "#ff8800"}},
    {"name": "resize", "values": [800], "fields": {"background": "#F80"}},
    {"name": "tint", "values": ["#f00"], "fields": {}},
    {"name": "tint", "values": ["tomato"], "fields": {}},
    {"name": "pad", "values": [9, 9, None, "transparent"], "fields": {}},
    {"name": "text", "values": ["#fff", 40], "fields": {"stroke_hex_color": "#fff"}},
    {"name": "text", "values": [], "fields": {"text": "#00f"}},
    {"name": "tag", "values": ["#abc"], "fields": {}},
    {"name": "tint", "values": ["#f00f"], "fields": {}},
    {"name": "resize", "values": [800, 600, "cover", [0.5, 0.25]], "fields": {}},
    {"name": "sharpen", "values": [0.5], "fields": {}},
    {"name": "sharpen", "values": [2.0], "fields": {}},
    {"name": "thumbnail", "values": [80, 80], "fields": {"enlarge": True}},
    {"name": "rotate", "values": [-90], "fields": {}},
    {"name": "text", "values": ["50 % off / 2:1 = ü's (new)!*"], "fields": {"size": 40}},
    {"name": "filename", "values": ["naïve café.jpg"], "fields": {}},
]

SRCSETS: list[Case] = [
    {"original": [4000, 3000]},
    {"original": [1000, 700], "widths": [320, 640, 1280]},
    {"original": [1000, 700], "widths": [1280, 640, 640, 320, 1000]},
    {"original": [200, 100]},
    {"original": [4000, 3000], "widths": [400, 800], "max_width": 800},
    {"original": [4000, 3000], "widths": [400, 800, 1600], "max_height": 500},
    {"original": [3001, 1999], "widths": [333, 777], "max_width": 1001, "max_height": 601},
    {"original": [4000, 3000], "widths": [400, 1200], "ratio": [16, 9]},
    {"original": [1000, 3000], "widths": [333, 500], "ratio": [4, 5], "crop": "center"},
    {"original": [3000, 500], "widths": [320, 640, 1280], "ratio": [1, 1]},
    {"original": [701, 333], "widths": [100, 301], "ratio": [1200, 630], "max_width": 350},
    {"original": [20000, 20000], "widths": [16000, 18000]},
    {"original": [20000, 20000]},
    {"original": [1109, 700]},
    {"original": [1113, 700]},
    {"original": [1109, 700], "widths": [1020, 1108]},
    {"original": [4000, 3000], "ratio": [1, 1], "max_width": 350},
    {"original": [1, 1], "widths": [1, 2]},
]

PICTURES: list[Case] = [
    {"original": [1000, 700], "widths": [320, 640], "formats": ["avif", "webp", "jpeg"],
     "sizes": "(min-width: 60em) 50vw, 100vw"},
    {"original": [1000, 700], "widths": [320], "ratio": [1, 1], "formats": ["png"],
     "sizes": "320px"},
    {"original": [1000, 700], "widths": [320], "formats": ["webp", "jpeg"], "sizes": "50vw",
     "art": [["(max-width: 30em)", [4, 5]], ["(max-width: 60em)", [1, 1], "100vw"]]},
    {"original": [1000, 700], "widths": [320], "ratio": [16, 9], "crop": "center",
     "formats": ["jpeg"], "sizes": "auto, 100vw", "art": [["(orientation: portrait)", [2, 3]]]},
]  # fmt: skip

RULES: list[tuple[str, list[str], list[tuple[list[str | float], list[str]]]]] = [
    (PHOTO, ["resize:{320,640,1280}"], [
        ([320], ["320"]), ([321], ["640"]), ([1], ["320"]), ([5000], ["1280"]), (["640"], ["640"]),
        ([320.5], ["640"]),
    ]),
    (PHOTO, ["smart_crop:{100..400..100}:{100,200}", "sharpen:0.8",
             "convert:{avif,webp,jpeg}:quality={50..90..20}"], [
        ([250, 100, "webp", 70], ["300", "100", "webp", "70"]),
        ([1000, 1000, "jpeg", 1], ["400", "200", "jpeg", "50"]),
    ]),
    (PHOTO, ["resize:{1280,320,640}"], [([600], ["640"]), ([700], ["1280"])]),
    (PHOTO, ["resize:{1..3}"], [([2], ["2"])]),
    (PHOTO, ["resize:{auto,800,320,640}", "convert:auto:{auto,80,50}", "dpr:{auto,1,2}"], [
        ([300, "auto", "auto"], ["320", "auto", "auto"]), (["auto", 60, 1.5], ["auto", "80", "2"]),
    ]),
    ("media:users/{42}, ü.jpg", ["resize:{80,160}"], [([100], ["160"])]),
    ("https://cdn.example.com/{a}/%7Bb%7D.jpg", ["resize:{80,160}", "flip"], [([1], ["80"])]),
]  # fmt: skip
"""Rules, and what is chosen for wanted values."""

REFUSED: list[Case] = [
    {"call": "url", "source": "", "steps": []},
    {"call": "url", "source": "users/42.jpg", "steps": []},
    {"call": "url", "source": "media:", "steps": []},
    {"call": "url", "source": "ftp:", "steps": []},
    {"call": "url", "source": "data:image/png;base64,AAAA", "steps": []},
    {"call": "url", "source": "b64:aHR0cHM6Ly9h", "steps": []},
    {"call": "url", "source": "https://", "steps": []},
    {"call": "url", "source": "https://user@cdn.example.com/a.jpg", "steps": []},
    {"call": "url", "source": "https://cdn.example.com/a.jpg#top", "steps": []},
    {"call": "url", "source": "https://cdn.example.com/a\\b.jpg", "steps": []},
    {"call": "url", "source": "https://cdn.example.com/a\nb.jpg", "steps": []},
    {"call": "url", "source": PHOTO, "steps": ["resize:800/convert:webp"]},
    {"call": "url", "source": PHOTO, "steps": ["text:50 % off"]},
    {"call": "url", "source": PHOTO, "steps": [""]},
    {"call": "url", "source": PHOTO, "steps": ["resize:80\n"]},
    {"call": "url", "source": PHOTO, "steps": ["https:"]},
    {"call": "url", "source": PHOTO, "steps": ["text:a?b"]},
    {"call": "step", "name": "Resize:8", "values": [], "fields": {}},
    {"call": "srcset", "source": PHOTO, "steps": ["resize:80"], "original": [100, 100]},
    {"call": "srcset", "source": PHOTO, "steps": ["preset:card"], "original": [100, 100]},
    {"call": "srcset", "source": PHOTO, "steps": ["trim"], "original": [100, 100]},
    {"call": "srcset", "source": PHOTO, "steps": [], "original": [0, 100]},
    {"call": "srcset", "source": PHOTO, "steps": [], "original": [100, 100], "widths": [0]},
    {"call": "srcset", "source": PHOTO, "steps": [], "original": [100, 100], "ratio": [0, 9]},
    {"call": "srcset", "source": PHOTO, "steps": [], "original": [100, 100], "max_width": 0},
    {"call": "srcset", "source": PHOTO, "steps": [], "original": [100, 1], "ratio": [1, 9]},
    {"call": "url", "source": PHOTO, "steps": ["resize:{80,160}"]},
    {"call": "picture", "source": PHOTO, "steps": ["convert:webp"], "original": [100, 100]},
    {"call": "picture", "source": PHOTO, "steps": [], "original": [100, 100], "formats": ["bmp"]},
    {"call": "picture", "source": PHOTO, "steps": [], "original": [100, 100],
     "art": [[" ", [4, 5]]]},
    {"call": "picture", "source": PHOTO, "steps": [], "original": [100, 100],
     "art": [["(max-width: 40em)", [0, 5]]]},
    {"call": "rule", "source": PHOTO, "steps": ["resize:80"]},
    {"call": "rule", "source": PHOTO, "steps": ["resize:{}"]},
    {"call": "rule", "source": PHOTO, "steps": ["resize:{80,160"]},
    {"call": "rule", "source": PHOTO, "steps": ["resize:{80,,160}"]},
    {"call": "rule", "source": PHOTO, "steps": ["resize:1{80,160}"]},
    {"call": "rule", "source": "users/42.jpg", "steps": ["resize:{80,160}"]},
    {"call": "choose", "steps": ["resize:{80,160}"], "values": []},
    {"call": "choose", "steps": ["resize:{80,160}"], "values": [80, 80]},
    {"call": "choose", "steps": ["resize:{80,160}"], "values": ["wide"]},
    {"call": "choose", "steps": ["resize:{80,160}"], "values": [-80]},
    {"call": "choose", "steps": ["convert:{avif,webp}"], "values": ["png"]},
    {"call": "choose", "steps": ["resize:{5..1}"], "values": [1]},
    {"call": "choose", "steps": ["resize:{1..5..0}"], "values": [1]},
    {"call": "choose", "steps": ["resize:{1..9999999}"], "values": [1]},
]  # fmt: skip
"""Calls that raise an error."""

BAD_KEYS = ["", "00", "0" * 31, "zz" * 16, " " + KEY, KEY + "\n"]


def server_url(source: str, steps: tuple[str, ...], key: str | None = KEY) -> str:
    """The link as the server's own code signs it, once the server has parsed it."""
    rest = "/" + "/".join((*steps, CONTEXT.sources.encode(source)))
    signature = CONTEXT.keyring.sign(rest.encode()) if key else UNSIGNED
    path = f"/{signature}{rest}"
    if DIALECT.parse(path.encode()).source != CONTEXT.make_request(source, ()).source and (
        not any(step.startswith("v:") for step in steps)
    ):
        raise ValueError(f"the server reads another source from {path}")
    return BASE + path


def rule_case(
    source: str, steps: list[str], choices: list[tuple[list[str | float], list[str]]]
) -> Case:
    """A rule as the Python client signs it, and its choices as they are written in the path."""
    rule = Signer(BASE, KEY).rule(source, *steps)
    signature, _, rest = rule.removeprefix(f"{BASE}/").partition("/")
    if not CONTEXT.keyring.verify(signature.encode(), f"/{rest}".encode()):
        raise ValueError(f"the server does not verify {rule}")
    chosen = []
    for wanted, values in choices:
        url = f"{BASE}/{signature}/choose:{':'.join(values)}/{rest}"
        if choose(rule, *wanted) != url:
            raise ValueError(f"{wanted} does not become {url}")
        chosen.append({"values": wanted, "url": url})
    return {"source": source, "steps": steps, "rule": rule, "choices": chosen}


def light_arguments(case: Case) -> dict[str, Any]:
    """The arguments of the Python client: pairs are tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in case.items()
    }


def grid_of(case: Case) -> str:
    names = ("original", "widths", "ratio", "max_width", "max_height")
    return width_grid(**light_arguments({name: case[name] for name in names if name in case}))


def picture_data(picture: Picture) -> Case:
    return {
        **picture._asdict(),
        "sources": [source._asdict() for source in picture.sources],
    }


def vectors() -> Case:
    signer = Signer(BASE, KEY)
    steps = ("sharpen:0.8", "convert:auto")
    links = [
        {"source": source, "steps": list(steps), "parsed_source": parsed,
         "url": server_url(parsed, steps), "unsigned_url": server_url(parsed, steps, None)}
        for source, steps, parsed in LINKS
    ]  # fmt: skip
    srcsets = []
    for case in SRCSETS:
        candidates = signer.candidates(PHOTO, *steps, **light_arguments(case))
        for url, _, _ in candidates:
            DIALECT.parse(url.removeprefix(BASE).encode())
        srcsets.append(
            {"source": PHOTO, "steps": list(steps), **case,
             "candidates": [candidate._asdict() for candidate in candidates],
             "srcset": signer.srcset(PHOTO, *steps, **light_arguments(case)),
             "width_grid": grid_of(case)}
        )  # fmt: skip
    return {
        "base": BASE,
        "key": KEY,
        "bad_keys": BAD_KEYS,
        "same_size_steps": sorted(SAME_SIZE_STEPS),
        "default_widths": DEFAULT_WIDTHS,
        "links": links,
        "steps": [
            {**case, "step": step(case["name"], *case["values"], **case["fields"])}
            for case in STEPS
        ],
        "srcsets": srcsets,
        "pictures": [
            {"source": PHOTO, "steps": ["sharpen:0.8"], **case,
             "picture": picture_data(signer.picture(PHOTO, "sharpen:0.8", **light_arguments(case)))}
            for case in PICTURES
        ],
        "rules": [rule_case(*case) for case in RULES],
        "refused": REFUSED,
    }  # fmt: skip


def as_json() -> str:
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    VECTORS.write_text(as_json(), "utf-8")
