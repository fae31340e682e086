"""Links that Nuxt Image and unpic build from tables of calls; run it to write the vectors.

``PYTHONPATH=tests python -m clients.ipx_links`` writes
``tests/links/ipx_vectors.json``: each link with the native link that it means, or the error that it
gets. Look at what changes in it.
"""

import json
from pathlib import Path

from clients.node_scripts import missing_for_node, run_node
from links.ipx_fixture import native, parse

from proxy.errors import ProxyError

VECTORS = Path(__file__).parent.parent / "links" / "ipx_vectors.json"

BASE = "/_ipx"
LOCAL = "/img/photo.jpg"
REMOTE = "https://images.example/photo.jpg"


def node_links(local: str = LOCAL, remote: str = REMOTE) -> list[dict]:
    """What the clients for Node build; empty where they are not installed."""
    return [] if missing_for_node() else run_node("ipx.js", BASE, local, remote)


def native_link(path: str, **settings: object) -> dict:
    """The native link that an IPX link means, or its error."""
    try:
        return {"native": native().build(parse(path.removeprefix(BASE), **settings))}
    except ProxyError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    vectors = [{**link, **native_link(link["path"])} for link in node_links()]
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    VECTORS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
