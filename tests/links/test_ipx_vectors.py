"""Links of IPX's clients mean what they meant.

`tests/clients/ipx_links.py` writes the vectors.
"""

import json
from pathlib import Path

import pytest
from links.ipx_fixture import dialect, native

from proxy.errors import InvalidLink

VECTORS = json.loads(Path(__file__).with_name("ipx_vectors.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["path"][-60:])
def test_a_link_of_a_client_means_this_native_link(vector: dict[str, str]) -> None:
    path = vector["path"].removeprefix("/_ipx").encode()
    if "error" in vector:
        with pytest.raises(InvalidLink) as raised:
            dialect().parse(path)
        assert str(raised.value) == vector["error"]
        return
    request = dialect().parse(path)
    assert native().build(request) == vector["native"]
    assert native().parse(vector["native"].encode()).key == request.key


def test_there_are_enough_vectors_of_every_client() -> None:
    assert len(VECTORS) >= 150
    assert {vector["client"] for vector in VECTORS} == {
        "@nuxt/image", "@nuxt/image static", "unpic", "unpic transform", "IPX",
    }  # fmt: skip
