"""Malformed files by every submit in: a proper response, and the server works as before."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2 as httpx
import malformed_images
import photos
import pytest
import pyvips
from live_server import KEY, LiveServer
from security.response_checks import check_response

FILES = malformed_images.files()
CORPUS = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev"

Submit = Callable[[httpx.Client, LiveServer, str, bytes], httpx.Response]


def by_url(client: httpx.Client, server: LiveServer, name: str, body: bytes) -> httpx.Response:
    source = server.origin.serve(f"/{quote(name)}", body)
    return client.get(f"/_/resize:64:64:inside/convert:png/{source}")


def by_url_without_operations(
    client: httpx.Client, server: LiveServer, name: str, body: bytes
) -> httpx.Response:
    return client.get(f"/_/{server.origin.serve(f'/{quote(name)}', body)}")


def as_body(client: httpx.Client, _: LiveServer, __: str, body: bytes) -> httpx.Response:
    headers = {"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/octet-stream"}
    path = "/vision/v3.2/generateThumbnail?width=64&height=64&smartCropping=true"
    return client.post(path, content=body, headers=headers)


def as_form(client: httpx.Client, _: LiveServer, __: str, body: bytes) -> httpx.Response:
    path = "/vision/v3.2/generateThumbnail?width=64&height=64"
    headers = {"Ocp-Apim-Subscription-Key": KEY}
    return client.post(path, files={"file": ("a.jpg", body)}, headers=headers)


def as_json(client: httpx.Client, _: LiveServer, __: str, body: bytes) -> httpx.Response:
    """The picture inside the JSON response, as a response of its own."""
    operations = [
        {"type": "resize", "width_in_px": 64, "height_in_px": 64, "fit": "inside"},
        {"type": "convert", "format": "png"},
    ]
    file = {"type": "base64", "base64": base64.b64encode(body).decode()}
    response = client.post(
        "/image-transformation/v1/transform",
        json={"file": file, "operations": operations},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    if response.status_code != 200:
        return response
    data = response.json()["data"]
    headers = {**response.headers, "content-type": data["mime_type"]}
    return httpx.Response(200, headers=headers, content=base64.b64decode(data["buffer"]))


SUBMITS: dict[str, Submit] = {
    "url": by_url,
    "url without operations": by_url_without_operations,
    "body": as_body,
    "form": as_form,
    "json": as_json,
}


@pytest.fixture(autouse=True)
def still_works(client: httpx.Client, server: LiveServer) -> Iterator[None]:
    """Whatever happened before, the next picture is rendered."""
    yield
    source = server.origin.serve("/valid.png", photos.encode_scene("png"))
    assert client.get(f"/_/resize:20:20:fill/{source}").status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_file_gets_a_proper_response(
    client: httpx.Client, server: LiveServer, name: str
) -> None:
    body, outcome, problem_type = FILES[name]
    for submit in SUBMITS.values():
        response = submit(client, server, name, body)
        if problem_type and submit in (by_url, by_url_without_operations):
            assert response.json()["type"].endswith(f"problem-{problem_type}")
        check_response(response)
        assert 400 <= response.status_code < 500 or (
            outcome == "either" and response.status_code == 200
        )


@pytest.mark.parametrize("submit", SUBMITS)
def test_private_metadata_is_removed(client: httpx.Client, server: LiveServer, submit: str) -> None:
    response = SUBMITS[submit](
        client, server, "private.jpg", malformed_images.with_private_metadata()
    )
    assert response.status_code == 200
    assert b"SECRET" not in response.content
    fields = pyvips.Image.new_from_buffer(response.content, "").get_fields()
    assert not [
        field for field in fields if field.startswith(("exif-", "xmp", "iptc", "png-comment"))
    ]


def corpus_files() -> list[tuple[str, str]]:
    manifest = CORPUS / "manifest.tsv"
    if not manifest.exists():
        return []
    rows = [line.split("\t") for line in manifest.read_text().splitlines()[1:]]
    return [(row[0], row[1]) for row in rows]


@pytest.mark.skipif(
    not corpus_files(), reason="the corpus of malformed files is not beside the repository"
)
@pytest.mark.parametrize(("name", "expected"), corpus_files() or [("", "")])
def test_a_file_of_the_corpus_gets_the_expected_response(
    client: httpx.Client, server: LiveServer, name: str, expected: str
) -> None:
    body = (CORPUS / "files" / name).read_bytes()
    statuses = set()
    for submit in SUBMITS.values():
        response = submit(client, server, name, body)
        check_response(response)
        statuses.add(response.status_code)
        if submit in (by_url, by_url_without_operations) and expected == "decode":
            assert response.status_code == 200
    assert all(status == 200 or 400 <= status < 500 for status in statuses)
    if expected in ("toolarge", "refuse"):
        assert 200 not in statuses
