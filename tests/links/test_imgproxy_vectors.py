"""Links of imgproxy's clients mean what they meant.

`tests/clients/imgproxy_links.py` writes the vectors.
"""

import json
from pathlib import Path

import pytest
from links.imgproxy_fixture import KEY, PRESETS, SALT, dialect, native

from proxy.errors import InvalidLink, InvalidSignature, ProxyError

VECTORS = json.loads(Path(__file__).with_name("imgproxy_vectors.json").read_text("utf-8"))
SHARED = Path(__file__).parents[3] / "shared" / "contracts" / "imgproxy-vectors.json"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["path"][-60:])
def test_a_link_of_a_client_means_this_native_link(vector: dict[str, str]) -> None:
    imgproxy = dialect(
        keys=(KEY,), salts=(SALT,), presets=PRESETS, watermark="media:logo.png", aliases=["media"]
    )
    path = vector["path"].encode()
    if "error" in vector:
        with pytest.raises(InvalidLink) as raised:
            imgproxy.parse(path)
        assert str(raised.value) == vector["error"]
    else:
        assert native(["media"]).build(imgproxy.parse(path)) == vector["native"]


def test_there_are_enough_vectors_of_every_client() -> None:
    assert len(VECTORS) >= 150
    assert len({vector["client"] for vector in VECTORS}) == 6


def test_a_native_link_and_an_imgproxy_link_have_one_cache_key() -> None:
    imgproxy = dialect(
        keys=(KEY,), salts=(SALT,), presets=PRESETS, watermark="media:logo.png", aliases=["media"]
    )
    for vector in VECTORS:
        if "native" in vector:
            parsed = native(["media"]).parse(vector["native"].encode())
            assert parsed.key == imgproxy.parse(vector["path"].encode()).key


@pytest.mark.skipif(not SHARED.exists(), reason="the contract's vectors are not here")
def test_the_vectors_of_the_contract_verify() -> None:
    vectors = json.loads(SHARED.read_text("utf-8"))
    for vector in vectors["valid"]:
        imgproxy = dialect(
            keys=(vector["key"],),
            salts=(vector["salt"],),
            signature_size=vector["signature_size"],
            presets={"sharp": "sh:0.7", "thumbnail": "w:10", "blurry": "bl:2"},
            only_presets=vector["name"] == "presets-only",
            base64_url_includes_filename=vector["name"] == "seo-filename",
            source_prefixes={"s3://my-bucket/": "https://my-bucket.example/"},
        )
        assert imgproxy.parse(f"/{vector['signature']}{vector['path']}".encode()).source.key
    for vector in vectors["invalid"]:
        size = vector.get("signature_size", 32)
        imgproxy = dialect(keys=(vector["key"],), salts=(vector["salt"],), signature_size=size)
        with pytest.raises(InvalidSignature):
            imgproxy.parse(f"/{vector['signature']}{vector['path']}".encode())
    first = next(vector for vector in vectors["valid"] if vector["name"] == "base64-ext")
    imgproxy = dialect(keys=(first["key"],), salts=(first["salt"],))
    for vector in vectors["mangled"]:
        try:
            assert imgproxy.parse(vector["request"].encode()).source.key
        except ProxyError as error:
            raise AssertionError(vector["name"]) from error
