"""Files that mean harm, through every way in: a sound answer, and the server as well as before."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2 as httpx
import malformed_images
import photos
import pytest
import pyvips
from live_server import KEY, Served
from security.answers import is_sound

FILES = malformed_images.files()
GIVEN = Path(__file__).parents[3] / "shared" / "eval" / "badinputs-dev"

Way = Callable[[httpx.Client, Served, str, bytes], httpx.Response]


def by_url(client: httpx.Client, served: Served, name: str, body: bytes) -> httpx.Response:
    source = served.origin.serve(f"/{quote(name)}", body)
    return client.get(f"/_/resize:64:64:inside/convert:png/{source}")


def unchanged(client: httpx.Client, served: Served, name: str, body: bytes) -> httpx.Response:
    return client.get(f"/_/{served.origin.serve(f'/{quote(name)}', body)}")


def as_body(client: httpx.Client, _: Served, __: str, body: bytes) -> httpx.Response:
    headers = {"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/octet-stream"}
    path = "/vision/v3.2/generateThumbnail?width=64&height=64&smartCropping=true"
    return client.post(path, content=body, headers=headers)


def in_a_form(client: httpx.Client, _: Served, __: str, body: bytes) -> httpx.Response:
    path = "/vision/v3.2/generateThumbnail?width=64&height=64"
    headers = {"Ocp-Apim-Subscription-Key": KEY}
    return client.post(path, files={"file": ("a.jpg", body)}, headers=headers)


def in_json(client: httpx.Client, _: Served, __: str, body: bytes) -> httpx.Response:
    """What comes back in Base64 is judged as if it had come by itself."""
    operations = [
        {"type": "resize", "width_in_px": 64, "height_in_px": 64, "fit": "inside"},
        {"type": "convert", "format": "png"},
    ]
    file = {"type": "base64", "base64": base64.b64encode(body).decode()}
    answer = client.post(
        "/image-transformation/v1/transform",
        json={"file": file, "operations": operations},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    if answer.status_code != 200:
        return answer
    made = answer.json()["data"]
    headers = {**answer.headers, "content-type": made["mime_type"]}
    return httpx.Response(200, headers=headers, content=base64.b64decode(made["buffer"]))


WAYS: dict[str, Way] = {
    "url": by_url,
    "unchanged": unchanged,
    "body": as_body,
    "form": in_a_form,
    "json": in_json,
}


@pytest.fixture(autouse=True)
def still_well(client: httpx.Client, served: Served) -> Iterator[None]:
    """Whatever happened, the next picture is made."""
    yield
    source = served.origin.serve("/sane.png", photos.encoded("png"))
    assert client.get(f"/_/resize:20:20:fill/{source}").status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_gets_a_sound_answer(
    client: httpx.Client, served: Served, name: str
) -> None:
    body, fate, reason = FILES[name]
    for way in WAYS.values():
        answer = way(client, served, name, body)
        if reason and way in (by_url, unchanged):
            assert answer.json()["type"].endswith(f"problem-{reason}")
        is_sound(answer)
        assert 400 <= answer.status_code < 500 or (fate == "either" and answer.status_code == 200)


@pytest.mark.parametrize("way", WAYS)
def test_no_word_of_where_and_by_whom_passes(
    client: httpx.Client, served: Served, way: str
) -> None:
    answer = WAYS[way](client, served, "located.jpg", malformed_images.located())
    assert answer.status_code == 200
    assert b"SECRET" not in answer.content
    fields = pyvips.Image.new_from_buffer(answer.content, "").get_fields()
    assert not [
        field for field in fields if field.startswith(("exif-", "xmp", "iptc", "png-comment"))
    ]


def given() -> list[tuple[str, str]]:
    manifest = GIVEN / "manifest.tsv"
    if not manifest.exists():
        return []
    rows = [line.split("\t") for line in manifest.read_text().splitlines()[1:]]
    return [(row[0], row[1]) for row in rows]


@pytest.mark.skipif(not given(), reason="the corpus of bad files is not beside the repository")
@pytest.mark.parametrize(("name", "fate"), given() or [("", "")])
def test_a_file_of_the_corpus_gets_the_answer_it_deserves(
    client: httpx.Client, served: Served, name: str, fate: str
) -> None:
    body = (GIVEN / "files" / name).read_bytes()
    statuses = set()
    for way in WAYS.values():
        answer = way(client, served, name, body)
        is_sound(answer)
        statuses.add(answer.status_code)
        if way in (by_url, unchanged) and fate == "decode":
            assert answer.status_code == 200
    assert all(status == 200 or 400 <= status < 500 for status in statuses)
    if fate in ("toolarge", "refuse"):
        assert 200 not in statuses
