"""thumbor's clients, unchanged, against the running server."""

import subprocess
import sys

import httpx2 as httpx
import photos
import pytest
from clients.node_scripts import check_paths
from clients.thumbor_links import (
    KEY,
    VECTORS,
    imagor_links,
    native_link,
    node_links,
    python_links,
)
from live_server import live_server

DJANGO = """
import django, sys
from django.conf import settings
settings.configure(THUMBOR_SERVER=sys.argv[1], THUMBOR_SECURITY_KEY=sys.argv[2])
django.setup()
from django_thumbor import generate_url
print(generate_url(sys.argv[3], width=90, height=60, smart=True))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {
        "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "thumbor": "thumbor", "imagor": "imagor"}',
        "FRAMEKEEP_THUMBOR_KEYS": KEY,
        "FRAMEKEEP_THUMBOR_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_IMAGOR_KEYS": KEY,
        "FRAMEKEEP_IMAGOR_SIGNATURE_ALGORITHM": "sha256",
    }
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


def test_libthumbor_builds_the_links_of_the_vectors():
    check_paths(python_links(), VECTORS)


def test_the_clients_for_node_build_the_links_of_the_vectors():
    check_paths(node_links(), VECTORS)


def test_every_link_is_served_and_shares_its_result_with_the_native_link(server):
    picture = server.origin.serve("/photo.jpg", photos.encode_scene("JPEG", 480, 360))
    logo = server.origin.serve("/logo.png", photos.encode_scene("PNG", 40, 30))
    escaped = logo.replace(":", "%3A").replace("/", "%2F")
    links = [*python_links(picture, escaped), *node_links(f"{server.url}/thumbor", picture)]
    served = 0
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for link in links:
            path = link["path"].removeprefix("/thumbor")
            meant = native_link(path)
            response = client.get(f"/thumbor{path}")
            if "error" in meant:
                assert response.status_code == 400, link
                continue
            assert response.status_code == 200, (link, response.text)
            served += 1
            if "/meta/" in path:  # described in thumbor's words, not in those of `info`
                continue
            native = client.get(meant["native"])
            assert native.content == response.content, link
            assert native.headers.get("x-cache", "hit") == "hit", link
    assert served >= 80


def test_meta_says_what_would_be_done_in_the_words_of_thumbor(server):
    picture = server.origin.serve("/photo.jpg", photos.encode_scene("JPEG", 480, 360))
    url = f"{server.url}/thumbor/unsafe/meta/10x20:250x200/-120x0/{picture}"
    described = httpx.get(url, timeout=120).json()["thumbor"]
    assert described == {
        "source": {"url": picture, "width": 480, "height": 360, "frameCount": 1},
        "operations": [
            {"type": "crop", "left": 10, "top": 20, "right": 250, "bottom": 200},
            {"type": "resize", "width": 120, "height": 90},
            {"type": "flip_horizontally"},
        ],
        "target": {"width": 120, "height": 90},
    }
    smart = f"{server.url}/thumbor/unsafe/meta/100x300/smart/{picture}"
    assert httpx.get(smart, timeout=120).json()["thumbor"]["focal_points"]


def test_links_of_imagor_are_served(server):
    picture = server.origin.serve("/photo.jpg", photos.encode_scene("JPEG", 480, 360))
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for link in imagor_links(picture)[:20]:
            meant = native_link(link["path"], is_imagor=True)
            response = client.get(f"/imagor{link['path']}")
            if "error" not in meant and "/300xorig/" not in link["path"]:
                assert response.status_code == 200, (link, response.text)


def test_django_thumbor_builds_a_link_that_is_served(server):
    picture = server.origin.serve("/photo.jpg", photos.encode_scene("JPEG", 480, 360))
    ran = subprocess.run(
        [sys.executable, "-c", DJANGO, f"{server.url}/thumbor", KEY, picture],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    response = httpx.get(ran.stdout.strip(), timeout=120)
    assert response.status_code == 200, (ran.stdout, response.text)
    assert photos.decode(response.content).size == (90, 60)
