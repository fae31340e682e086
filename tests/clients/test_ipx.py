"""Nuxt Image and unpic, unchanged, against the running server."""

import json

import httpx2 as httpx
import photos
import pytest
from clients.ipx_links import VECTORS, native_link, node_links
from clients.node_scripts import check_paths, missing_for_node
from links.ipx_fixture import OPEN
from live_server import live_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    public = tmp_path_factory.mktemp("public")
    (public / "img").mkdir()
    for name in ("photo.jpg", "café 1.jpg"):
        (public / "img" / name).write_bytes(photos.off_center())
    settings = {
        "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "_ipx": "ipx"}',
        "FRAMEKEEP_IPX_ALLOW_SOURCES": "/,http://127.0.0.1:*/",
        "FRAMEKEEP_IPX_ALLOW_MODIFIERS": ",".join(OPEN["allow_modifiers"]),
        "FRAMEKEEP_IPX_MAX_RENDITIONS": "0",
        "FRAMEKEEP_IPX_BASE_URL": "media:",
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"media": f"file://{public}"}),
    }
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


def built(*sources):
    links = node_links(*sources)
    if not links:
        pytest.skip(missing_for_node())
    return links


def test_the_clients_build_the_links_of_the_vectors():
    check_paths(node_links(), VECTORS)


def test_every_link_is_served_and_shares_its_result_with_the_native_link(server):
    remote = server.origin.serve("/photo.jpg", photos.off_center())
    server.origin.serve("/photo.jpg?v=2&x=a%20b", photos.off_center())
    served = 0
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for link in built("/img/photo.jpg", remote):
            allowed = ("/", "http://127.0.0.1:*/")
            meant = native_link(link["path"], allow_sources=allowed)
            response = client.get(link["path"])
            if "error" in meant:
                assert response.status_code == 400, link
                continue
            assert response.status_code == 200, (link, response.text)
            native = client.get(meant["native"])
            assert native.content == response.content, link
            assert native.headers.get("x-cache", "hit") == "hit", link
            served += 1
    assert served >= 140
