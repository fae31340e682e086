"""curl, with the commands that tutorials of the API print; only host, key and file differ."""

import base64
import json
import shutil
import subprocess

import photos
import pytest
from live_server import KEY

QUERY = "width=120&height=90&smartCropping=true&model-version=latest"


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(photos.PORTRAIT)
    return file


def curl(*arguments):
    """Status, content type and body."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    output_format = "\n%{http_code} %{content_type}"
    ran = subprocess.run(
        ["curl", "--silent", "--location", "--write-out", output_format, *arguments],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    body, _, line = ran.stdout.rpartition(b"\n")
    status, _, content_type = line.decode().partition(" ")
    return int(status), content_type, body


def thumbnail(server, *arguments):
    url = f"{server.url}/vision/v3.2/generateThumbnail?{QUERY}"
    key = f"Ocp-Apim-Subscription-Key: {KEY}"
    return curl("--request", "POST", url, "--header", key, *arguments)


def forms(server, picture):
    url = server.origin.serve("/portrait.jpg", photos.PORTRAIT)
    return {
        "json": (
            *("--header", "Content-Type: application/json"),
            *("--data-raw", json.dumps({"url": url})),
        ),
        "octet-stream": (
            *("--header", "Content-Type: application/octet-stream"),
            *("--data-binary", f"@{picture}"),
        ),
        "form": (
            *("--header", "Content-Type: multipart/form-data"),
            *("--form", f'img=@"{picture}"'),
        ),
    }


@pytest.mark.parametrize("form", ["json", "octet-stream", "form"])
def test_three_forms_of_body(server, picture, form):
    status, content_type, body = thumbnail(server, *forms(server, picture)[form])
    assert (status, content_type) == (200, "image/jpeg")
    assert photos.decode(body).size == (120, 90)
    assert len(body) < len(photos.PORTRAIT)


def test_a_large_upload_waits_for_100_continue(server, tmp_path):
    """Curl asks with `Expect: 100-continue` before it sends so much."""
    file = tmp_path / "large.png"
    file.write_bytes(photos.encode_scene("PNG") + b"\0" * 3_000_000)
    octets = ("--header", "Content-Type: application/octet-stream")
    status, _, body = thumbnail(server, *octets, "--data-binary", f"@{file}")
    assert status == 200
    assert photos.decode(body).size == (120, 90)


def test_another_content_type_is_rejected(server, picture):
    text = ("--header", "Content-Type: text/plain", "--data-binary", f"@{picture}")
    assert thumbnail(server, *text)[0] == 415


def test_get_is_not_found(server):
    status, _, body = curl(f"{server.url}/vision/v3.2/generateThumbnail?{QUERY}")
    assert (status, json.loads(body)["error"]["code"]) == (404, "404")


def test_one_post_makes_a_thumbnail(server):
    """Nothing but curl: base64 in, base64 out."""
    body = {
        "file": {"type": "base64", "base64": base64.b64encode(photos.PORTRAIT).decode()},
        "operations": [
            {"type": "smart_crop", "width_in_px": 200, "height_in_px": 200},
            {"type": "convert", "format": "webp", "quality": 80},
        ],
    }
    status, content_type, body = curl(
        *(f"{server.url}/image-transformation/v1/transform", "--data", json.dumps(body)),
        *("--header", f"Authorization: Bearer {KEY}"),
        *("--header", "Content-Type: application/json"),
    )
    assert (status, content_type) == (200, "application/json")
    assert photos.decode(base64.b64decode(json.loads(body)["data"]["buffer"])).size == (200, 200)
