"""The official JavaScript clients, unchanged. `scripts/install-node-clients` sets them up."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import photos
import pytest
from live_server import KEY, live_server

FOLDER = Path(__file__).parent / "node"
INSTALLED = Path(sys.prefix) / "clients" / "node"


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
    if shutil.which("node") is None:
        pytest.skip("node is not on this machine")
    if not (INSTALLED / "node_modules").is_dir():
        pytest.skip(
            "the JavaScript clients are not installed; scripts/install-node-clients does it"
        )
    shutil.copy(FOLDER / script, INSTALLED / script)
    ran = subprocess.run(
        ["node", "--no-warnings", str(INSTALLED / script), *arguments],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return json.loads(ran.stdout)


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
