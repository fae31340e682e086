"""The loaders of clients/javascript, and its client of the transformation API."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import photos
import pytest
import vectors
from live_server import KEY, live_server

CLIENT = Path(__file__).parents[2] / "clients" / "javascript"
INSTALLED = Path(sys.prefix) / "clients" / "node" / "node_modules"
SCRIPT = Path(__file__).parent / "languages" / "loaders.mjs"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the loaders say about an image of 80 by 60 pixels."""
    if shutil.which("node") is None:
        pytest.skip("node is not on this machine")
    settings = {
        "FRAMEKEEP_LINKS_KEYS": vectors.KEY,
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false",
        "FRAMEKEEP_TRANSFORM_ALLOW_HTTP": "true",
    }
    with live_server(tmp_path_factory.mktemp("cache"), settings) as server:
        source = server.origin.serve("/photo.png", photos.encode_scene("PNG", 80, 60))
        ran = subprocess.run(
            ["node", str(SCRIPT), str(CLIENT), server.url, vectors.KEY, source, KEY],
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        yield {"source": source, **json.loads(ran.stdout)}


def size(url):
    answer = httpx.get(url, trust_env=False, timeout=120)
    assert answer.status_code == 200, answer.text
    return photos.decode(answer.content).size


def test_the_loader_for_next_signs(found):
    assert size(found["next"]) == (40, 30)
    assert "/convert:auto:70/" in found["next"]


def test_a_route_of_the_site_signs_for_browsers(found):
    assert found["route"]["status"] == 302
    assert size(found["route"]["location"]) == (40, 30)
    assert size(found["nuxt"]["location"]) == (40, 30)


def test_the_route_signs_only_what_is_listed(found):
    assert [answer["status"] for answer in found["refused"]] == [400] * 5
    sentences = " ".join(answer["text"] for answer in found["refused"])
    assert re.search("width must be one of 40, 30", sentences)
    assert re.search("quality must be one of 70", sentences)
    assert re.search("this source is not allowed", sentences)
    assert re.search("width or height is required", sentences)
    assert re.search("fit must be one of cover", sentences)


def test_the_image_service_for_astro_signs(found):
    assert size(found["astro"]) == (40, 30)
    assert found["astroAttributes"] == {
        "alt": "A", "width": 40, "height": 30, "loading": "lazy", "decoding": "async",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "descriptors"),
    [
        ("astroWidths", ["20w", "40w", "80w"]),
        ("astroCropped", ["30w", "60w"]),
        ("astroContained", ["20w", "80w"]),
        ("astroRemote", ["20w", "40w"]),
    ],
)
def test_a_srcset_for_astro_has_true_widths(found, name, descriptors):
    assert [descriptor for _, descriptor in found[name]] == descriptors
    assert [f"{size(url)[0]}w" for url, _ in found[name]] == descriptors


def test_densities_for_astro_end_where_the_original_does(found):
    assert [(size(url)[0], text) for url, text in found["astroDensities"]] == [
        (40, "1x"),
        (80, "2x"),
    ]


def test_the_provider_for_unpic_reads_its_own_links(found):
    assert size(found["unpic"]) == (40, 30)
    assert found["unpicExtracted"]["src"] == found["source"]
    assert found["unpicExtracted"]["operations"] == {"width": "40", "height": "30", "format": "png"}
    assert size(found["unpicAgain"]) == (20, 15)
    assert found["unpicForeign"] is None


@pytest.mark.parametrize(
    ("loader", "choice"),
    [
        ("next", "40:png:75"),
        ("nuxt", "40:png:75"),
        ("astro", "80:png:60"),
        ("unpic", "20:png:75"),
        ("unpicWithoutKey", "80:png:75"),
        ("unsized", "80:auto:75"),
    ],
)
def test_a_loader_chooses_within_a_rule_that_the_server_signed(found, loader, choice):
    assert f"/choose:{choice}/resize:%7B20,40,80%7D/" in found["rules"][loader]


def test_the_loader_for_next_leaves_other_images_as_they_are(found):
    assert found["ruleUntouched"] == found["source"]


def test_no_width_of_a_page_chooses_a_share_of_the_picture(found):
    assert found["shares"] == "resize is required: the link leaves it open"


def test_transform_resolves_to_data_with_a_buffer(found):
    assert found["transform"]["mime_type"] == "image/webp"
    assert photos.decode(base64.b64decode(found["transform"]["buffer"])).size == (20, 20)


def test_transform_throws_the_sentence_of_the_server(found):
    refused, wrong_key = found["transformRefused"], found["transformWrongKey"]
    assert refused["isOurs"]
    assert refused["status"] == 400
    assert "operations" in refused["message"]
    assert wrong_key["status"] == 401


def test_the_types_of_the_client_are_those_of_its_source(tmp_path):
    compiler = INSTALLED / ".bin" / "tsc"
    if not compiler.exists():
        pytest.skip("TypeScript is not installed; scripts/install-node-clients does it")
    ran = subprocess.run(
        [
            *(compiler, "--project", CLIENT, "--outDir", tmp_path),
            *("--typeRoots", INSTALLED / "@types", "--types", "node"),
        ],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    made = {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.d.ts")}
    kept = {path.name: path.read_text("utf-8") for path in (CLIENT / "types").glob("*.d.ts")}
    assert made == kept
