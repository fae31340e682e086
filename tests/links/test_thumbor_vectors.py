"""Links of thumbor's clients, and imagor's, mean what they meant.

`tests/clients/thumbor_links.py` writes the vectors.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from links.thumbor_fixture import KEY, imagor, native, thumbor

from proxy.errors import InvalidLink, InvalidSignature, InvalidSource

FOLDER = Path(__file__).parent
THUMBOR = json.loads((FOLDER / "thumbor_vectors.json").read_text("utf-8"))
IMAGOR = json.loads((FOLDER / "imagor_vectors.json").read_text("utf-8"))
SHARED = FOLDER.parents[2] / "shared" / "contracts" / "thumbor-vectors.json"
CASES = [
    pytest.param(dialect, vector, id=f"{name}-{number}")
    for name, dialect, vectors in (("thumbor", thumbor, THUMBOR), ("imagor", imagor, IMAGOR))
    for number, vector in enumerate(vectors)
]


def open_dialect(dialect: Callable[..., Any]) -> Any:
    algorithm = {"signature_algorithm": "sha256"} if dialect is imagor else {}
    return dialect(keys=(KEY,), allow_unsigned=True, **algorithm)


@pytest.mark.parametrize(("dialect", "vector"), CASES)
def test_a_link_of_a_client_means_this_native_link(
    dialect: Callable[..., Any], vector: dict[str, Any]
) -> None:
    path = vector["path"].encode()
    if "error" in vector:
        with pytest.raises((InvalidLink, InvalidSource)) as raised:
            open_dialect(dialect).parse(path)
        assert str(raised.value) == vector["error"]
        return
    request = open_dialect(dialect).parse(path)
    assert native().build(request) == vector["native"]
    assert native().parse(vector["native"].encode()).key == request.key


def test_there_are_enough_vectors_of_every_client() -> None:
    assert len(THUMBOR) >= 150
    assert len(IMAGOR) >= 150
    assert len({vector["client"] for vector in THUMBOR}) == 6


@pytest.mark.skipif(not SHARED.exists(), reason="the contract's vectors are not here")
def test_the_vectors_of_the_contract_verify() -> None:
    vectors = json.loads(SHARED.read_text("utf-8"))
    for vector in vectors["valid"]:
        path = f"/{vector['signature']}/{vector['path']}".encode()
        assert thumbor(keys=(vector["key"],)).parse(path).source.key
    for vector in vectors["imagor"]:
        path = f"/{vector['signature']}/{vector['path']}".encode()
        rules = {
            "signature_algorithm": vector["algorithm"],
            "signature_length": vector["truncate"],
        }
        assert imagor(keys=(vector["key"],), **rules).parse(path).source.key
    for vector in vectors["invalid"]:
        path = f"/{vector['signature']}/{vector['path']}".encode()
        with pytest.raises(InvalidSignature):
            thumbor(keys=(vector["key"],)).parse(path)
        if vector["name"] == "decoded-signed":
            assert imagor(keys=(vector["key"],)).parse(path).source.key
