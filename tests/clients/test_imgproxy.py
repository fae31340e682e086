"""imgproxy's clients, unchanged, against the running server."""

import json
from importlib import import_module

import httpx2 as httpx
import photos
import pytest
from clients.imgproxy_links import (
    KEY,
    SALT,
    SETTINGS,
    SOURCE,
    VECTORS,
    native_link,
    node_links,
    python_links,
)
from clients.node_scripts import check_paths
from hypothesis import given
from hypothesis import strategies as st
from links.imgproxy_fixture import dialect
from live_server import live_server

from proxy.geometry import Size
from proxy.operations.convert import Convert
from proxy.operations.quality import Quality
from proxy.operations.thumbnail import Thumbnail


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    logos = tmp_path_factory.mktemp("logos")
    (logos / "logo.png").write_bytes(photos.encode_scene("PNG", 40, 30))
    settings = {
        "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "imgproxy": "imgproxy"}',
        "FRAMEKEEP_IMGPROXY_KEYS": KEY,
        "FRAMEKEEP_IMGPROXY_SALTS": SALT,
        "FRAMEKEEP_IMGPROXY_PRESETS": json.dumps(SETTINGS["presets"]),
        "FRAMEKEEP_IMGPROXY_WATERMARK": SETTINGS["watermark"],
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"media": f"file://{logos}"}),
    }
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


def test_the_clients_for_python_build_the_links_of_the_vectors():
    check_paths(python_links(), VECTORS)


def test_the_clients_for_node_build_the_links_of_the_vectors():
    check_paths(node_links(), VECTORS)


@given(
    st.integers(0, 3000), st.integers(0, 3000), st.sampled_from(("fit", "fill", "auto")),
    st.sampled_from(("ce", "no", "soea", "sm", "fp:0.25:0.5")), st.booleans(),
    st.sampled_from(("", "webp", "png")), st.integers(1, 100) | st.none(),
)  # fmt: skip
def test_a_link_of_the_python_client_parses_to_the_plan_that_it_meant(
    width, height, kind, gravity, enlarge, extension, quality
):
    client = import_module("imgproxy").ImgProxy(
        SOURCE, key=KEY, salt=SALT, width=width, height=height, resizing_type=kind,
        gravity=gravity, enlarge=enlarge, extension=extension,
    )  # fmt: skip
    more = [f"q:{quality}"] if quality else []
    request = dialect(keys=(KEY,), salts=(SALT,)).parse(client(*more).encode())
    assert request.source.text == SOURCE
    operations = list(request.plan)
    positions = {"ce": "center", "no": "north", "soea": "southeast", "sm": "smart"}
    meant = Thumbnail(
        width or None, height or None, kind, positions.get(gravity, "0.25,0.5"), enlarge=enlarge
    )
    if width or height:
        resized = operations.pop(0)
        if isinstance(resized, Thumbnail):
            assert resized == meant
        else:  # with the same sizes for every picture
            assert (resized.width_in_px, resized.height_in_px) == (width or None, height or None)
            for natural in (Size(640, 428), Size(31, 997), Size(2000, 2000)):
                if not resized.uses_detection():
                    assert resized.required_size(natural) == meant.size_for(natural).scaled
    if extension:
        assert operations == [Convert(extension, quality)]
    else:
        assert operations == ([Quality(quality)] if quality else [])


def test_every_link_is_served_and_shares_its_result_with_the_native_link(server):
    picture = server.origin.serve("/photo.jpg", photos.off_center())
    links = [
        *node_links(f"{server.url}/imgproxy/", picture),
        *python_links(picture),
    ]
    served = 0
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for link in links:
            path = link["path"].removeprefix("/imgproxy")
            meant = native_link(path)
            response = client.get(f"/imgproxy{path}")
            if "error" in meant:
                assert response.status_code == 400, link
                continue
            if "/page:2/" in meant["native"]:  # a photograph has one page
                assert response.status_code == 422
                continue
            assert response.status_code == 200, (link, response.text)
            native = client.get(meant["native"])
            assert native.content == response.content, link
            assert native.headers.get("x-cache", "hit") == "hit", link
            served += 1
    assert served >= len(links) - 3
