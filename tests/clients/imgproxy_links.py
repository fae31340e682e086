"""Links that imgproxy's clients build from tables of calls; run it to write the vectors.

``PYTHONPATH=tests python -m clients.imgproxy_links`` writes
``tests/links/imgproxy_vectors.json``: each link with the native link that it means, or the error
that it gets. Look at what changes in it.
"""

import json
from importlib import import_module
from pathlib import Path

from clients.node_scripts import missing_for_node, run_node

from proxy.errors import ProxyError
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.imgproxy import ImgproxyDialect
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

VECTORS = Path(__file__).parent.parent / "links" / "imgproxy_vectors.json"

KEY, SALT = "a1" * 32, "b2" * 32
SOURCE = "https://images.example/photo.jpg"
ENDPOINT = "http://images.test/"
SETTINGS = {
    "keys": (KEY,),
    "salts": (SALT,),
    "presets": {"sharp": "sh:0.7", "card": "rs:fill:400:300/q:80"},
    "watermark": "media:logo.png",
}

# PyPI imgproxy: the arguments of its constructor, and further options.
PYTHON = [
    ({}, ()),
    ({"width": 300, "height": 200}, ()),
    ({"width": 300, "height": 200, "resizing_type": "fill"}, ()),
    ({"width": 300, "height": 200, "resizing_type": "fill", "gravity": "sm"}, ()),
    ({"width": 300, "resizing_type": "fit", "enlarge": True}, ()),
    ({"width": 100, "height": 100, "resizing_type": "fill", "gravity": "noea"}, ("q:80",)),
    ({"extension": "webp"}, ()),
    ({"width": 64, "extension": "png"}, ("bl:2", "sh:0.5")),
    ({"gravity": "fp:0.5:0.2", "width": 50, "height": 50, "resizing_type": "fill"}, ()),
    ({"width": 50}, ("pd:10", "bg:ffffff")),
    ({"height": 50}, ("pr:sharp",)),
]

# PyPI mkimgproxy: a dictionary of options, and the format.
MKIMGPROXY = [
    ({"w": 300}, None),
    ({"rs": "fill:300:200:1"}, "webp"),
    ({"rs": "fit:300:200", "q": 60}, "jpg"),
    ({"c": "100:100:sm", "bl": 3}, "png"),
    ({"dpr": 2, "width": 100}, "avif"),
]


def node_links(endpoint: str = ENDPOINT, source: str = SOURCE) -> list[dict]:
    """What the clients for Node build; empty where they are not installed."""
    return [] if missing_for_node() else run_node("imgproxy.js", endpoint, KEY, SALT, source)


def python_links(source: str = SOURCE) -> list[dict]:
    """What the clients for Python build."""
    imgproxy, mkimgproxy = import_module("imgproxy"), import_module("mkimgproxy")
    signer = mkimgproxy.ImgProxy(KEY, SALT, "")
    return [
        *(
            {
                "client": "imgproxy (Python)",
                "call": [fields, list(more)],
                "path": imgproxy.ImgProxy(source, key=KEY, salt=SALT, **fields)(*more),
            }
            for fields, more in PYTHON
        ),
        *(
            {
                "client": "mkimgproxy",
                "call": [options, format],
                "path": signer.generate(source, options, format),
            }
            for options, format in MKIMGPROXY
        ),
    ]


def native_link(path: str) -> dict:
    """The native link that an imgproxy link means, or its error."""
    context = DialectContext(
        OperationRegistry(OPERATIONS),
        LinksConfig(allow_unsigned=True),
        aliases=["media"],
        sections=[ImgproxyConfig(**SETTINGS)],
    )
    try:
        return {
            "native": NativeDialect(context).build(ImgproxyDialect(context).parse(path.encode()))
        }
    except ProxyError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    links = [*node_links(), *python_links()]
    vectors = [{**link, **native_link(link["path"])} for link in links]
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    VECTORS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
