"""The official JavaScript clients, unchanged. `scripts/install-node-clients` sets them up."""

import base64

import photos
import pytest
from clients.node_scripts import missing_for_node, run_node
from live_server import KEY, live_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(
        tmp_path_factory.mktemp("cache"), {"FRAMEKEEP_TRANSFORM_ALLOW_HTTP": "true"}
    ) as served:
        yield served


@pytest.fixture
def picture(server, tmp_path):
    data = photos.off_center()
    (tmp_path / "picture.jpg").write_bytes(data)
    return server.origin.serve("/picture.jpg", data), str(tmp_path / "picture.jpg")


def run(script, *arguments):
    if missing := missing_for_node():
        pytest.skip(missing)
    return run_node(script, *arguments)


def size(text):
    return photos.decode(base64.b64decode(text)).size


def test_computer_vision(server, picture):
    result = run("vision.js", server.url, KEY, "wrong", *picture)
    assert size(result["byUrl"]) == (200, 200)
    assert size(result["byBuffer"]) == (100, 50)
    assert result["byBuffer"] == result["byStream"]
    area = result["area"]
    assert 0 <= area["x"] <= 690 <= area["x"] + area["w"] <= 800
    assert (result["metadata"]["width"], result["metadata"]["format"]) == (800, "Jpeg")
    assert result["refused"]["status"] == 401
    assert result["refused"]["body"]["error"]["code"] == "401"


def test_image_analysis(server, picture):
    result = run("analysis.js", server.url, KEY, "wrong", *picture)
    assert result["byBuffer"]["status"] == "200"
    values = result["byBuffer"]["body"]["smartCropsResult"]["values"]
    assert [value["aspectRatio"] for value in values] == [0.75, 1, 1.5]
    assert result["byUrl"]["body"] == result["byBuffer"]["body"]
    assert result["ends"]["status"] == "200"
    assert result["outside"]["unexpected"] is True
    assert result["outside"]["body"]["error"]["innererror"]["code"] == "BadArgument"
    assert result["refused"]["status"] == "401"
    assert result["refused"]["body"]["error"]["code"] == "401"


def test_image_transformation(server, picture):
    result = run("transform.js", server.url, KEY, picture[0])
    assert (result["status"], result["success"]) == (200, True)
    assert result["data"]["mime_type"] == "image/webp"
    assert size(result["data"]["buffer"]) == (200, 200)
