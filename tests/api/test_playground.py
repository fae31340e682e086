"""Who may use the playground, and what its calls answer."""

import io
import json
from collections.abc import Iterator

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server
from PIL import Image

from proxy.api.playground.assets import SAMPLES
from proxy.api.playground.links import MAX_LINKS

ADMIN = {"Authorization": "Bearer playground-admin"}
SIGNING_KEY = "0f" * 32
SOURCE = "https://a.example/b.jpg"
ITEM = {"source": SOURCE, "operations": [{"type": "resize", "width": 20}]}


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with an admin key and a signing key."""
    environment = {
        "FRAMEKEEP_ADMIN_KEYS": "playground-admin",
        "FRAMEKEEP_LINKS_KEYS": SIGNING_KEY,
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false",
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as served:
        yield served


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """An open playground on a server that also has keys."""
    environment = {
        "FRAMEKEEP_PAGES_PLAYGROUND": "open",
        "FRAMEKEEP_ADMIN_KEYS": "playground-admin",
        "FRAMEKEEP_LINKS_KEYS": SIGNING_KEY,
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as served:
        yield served


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with presets, one of them for links without steps."""
    environment = {
        "FRAMEKEEP_ADMIN_KEYS": "playground-admin",
        "FRAMEKEEP_LINKS_KEYS": SIGNING_KEY,
        "FRAMEKEEP_LINKS_PRESETS": '{"card": "resize:8:6", "default": "resize:10"}',
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as served:
        yield served


def make_links(server: LiveServer, *items: object, **headers: str) -> httpx.Response:
    return httpx.post(server.url + "/playground/api/links", json={"items": items}, headers=headers)


@pytest.mark.parametrize(
    "environment",
    [{}, {"FRAMEKEEP_PAGES_PLAYGROUND": "off", "FRAMEKEEP_ADMIN_KEYS": "playground-admin"}],
)
def test_without_an_admin_key_or_switched_off_there_is_none(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> None:
    with live_server(tmp_path_factory.mktemp("cache"), environment) as server:
        for path in ("", "/app.js", "/api/config"):
            answer = httpx.get(f"{server.url}/playground{path}", headers=ADMIN)
            assert answer.status_code == 404
            assert "FRAMEKEEP_PAGES_PLAYGROUND" in answer.json()["detail"]


def test_calls_need_the_admin_key(signing: LiveServer) -> None:
    assert httpx.get(signing.url + "/playground").status_code == 200
    for path in ("links", "render", "info"):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = httpx.post(f"{signing.url}/playground/api/{path}", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    assert httpx.get(signing.url + "/playground/api/config").status_code == 401
    config = httpx.get(signing.url + "/playground/api/config", headers=ADMIN).json()
    assert config["signs"]
    assert SIGNING_KEY not in json.dumps(config)


def test_an_open_playground_signs_for_nobody_without_the_key(both: LiveServer) -> None:
    [unsigned] = make_links(both, ITEM).json()["links"]
    assert unsigned["path"] == "/_/resize:20/https://a.example/b.jpg"
    assert not httpx.get(both.url + "/playground/api/config").json()["signs"]
    [signed] = make_links(both, ITEM, **ADMIN).json()["links"]
    assert signed["path"].endswith(unsigned["path"].removeprefix("/_"))
    assert not signed["path"].startswith("/_/")
    for path in ("render", "info"):  # the APIs of this server need a key
        answer = httpx.post(f"{both.url}/playground/api/{path}", content=b"x")
        assert answer.status_code == 401


def test_an_open_playground_makes_no_link_that_would_be_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    environment = {
        "FRAMEKEEP_PAGES_PLAYGROUND": "open",
        "FRAMEKEEP_LINKS_KEYS": SIGNING_KEY,
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false",
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as server:
        answer = make_links(server, ITEM)
        assert answer.status_code == 401
        assert "must be signed here" in answer.json()["detail"]


def test_each_link_has_its_own_error(both: LiveServer) -> None:
    wrong = {"source": SOURCE, "operations": [{"type": "flip"}, {"type": "blur", "sigma": 3000}]}
    good, bad, strange, described = make_links(
        both, ITEM, wrong, {"source": "x"}, {"source": SOURCE, "ratios": [[16, 9]]}
    ).json()["links"]
    assert good["steps"] == ["resize:20"]
    assert (bad["operation"], bad["field"]) == (1, "sigma")
    assert "must be a number above 0, up to 100" in bad["error"]
    assert "invalid source" in strange["error"]
    assert described["path"].startswith("/_/info:16x9/")


@pytest.mark.parametrize(
    "body",
    [
        {"items": []},
        {"items": [ITEM] * (MAX_LINKS + 1)},
        {"items": [{"source": ""}]},
        {"items": [{"source": SOURCE, "ratios": [[0, 9]]}]},
        {"items": [{**ITEM, "other": 1}]},
        [],
    ],
)
def test_a_wrong_body_is_refused(both: LiveServer, body: object) -> None:
    answer = httpx.post(both.url + "/playground/api/links", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_fields_are_left_open_and_counted(both: LiveServer) -> None:
    steps = [{"type": "flip"}, {"type": "resize", "width": 20, "fit": "inside"}]
    opened = {"operation": 1, "field": "height_in_px", "values": " {10, 20.0,30} "}
    color = {"operation": 0, "field": "hex_color", "values": "tomato, #fff"}
    one, two = make_links(
        both,
        {"source": SOURCE, "operations": steps, "open": [opened], "round_up": True},
        {"source": SOURCE, "operations": [{"type": "tint", "hex_color": "red"}], "open": [color]},
    ).json()["links"]
    assert one["steps"] == ["flip", "resize:20:%7B10,20.0,30%7D:inside", "round:up"]
    assert one["path"] == f"/_/flip/resize:20:%7B10,20,30%7D:inside/round:up/{SOURCE}"
    fields = [{"label": "resize: height_in_px", "options": ["10", "20", "30"]}]
    assert one["rule"] == {"renditions": 3, "fields": fields}
    assert two["path"] == f"/_/tint:%7Btomato,FFFFFF%7D/{SOURCE}"


@pytest.mark.parametrize(
    ("operation", "field", "values", "sentence"),
    [
        (0, "width_in_px", "", "an open field is a list such as {320,640,960} or a range"),
        (0, "width_in_px", "1..9000", "more than 1,000 values"),
        (0, "width_in_px", "20,99999", "choose:99999: resize: width_in_px: must be a whole number"),
        (0, "width_in_px", "2}/flip/{3", "an open field is a list"),
        (0, "depth", "1", "operation 0 has no field 'depth' that can be left open"),
        (1, "name", "a", "operation 1 has no field 'name' that can be left open"),
        (9, "sigma", "1", "operation 9 has no field 'sigma' that can be left open"),
    ],
)
def test_what_cannot_be_left_open_is_refused(
    presets: LiveServer, operation: int, field: str, values: str, sentence: str
) -> None:
    steps = [{"type": "resize", "width": 20}, {"type": "preset", "name": "card"}]
    opened = {"operation": operation, "field": field, "values": values}
    item = {"source": SOURCE, "operations": steps, "open": [opened]}
    [made] = make_links(presets, item, **ADMIN).json()["links"]
    assert sentence in made["error"]


def test_an_upload_is_rendered_and_described(signing: LiveServer) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(picture, "PNG")

    def post(path: str, **query: object) -> httpx.Response:
        return httpx.post(
            f"{signing.url}/playground/api/{path}",
            params={name: json.dumps(value) for name, value in query.items()},
            content=picture.getvalue(),
            headers=ADMIN,
        )

    rendered = post("render", operations=[{"type": "resize", "width": 20}])
    assert Image.open(io.BytesIO(rendered.content)).width == 20
    assert rendered.headers["cache-control"] == "no-store"
    assert "sandbox" in rendered.headers["content-security-policy"]
    described = post("info", ratios=[[1, 1]]).json()
    assert (described["width"], len(described["windows"])) == (60, 1)
    for path, query in (
        ("render", {"operations": "x"}),
        ("render", {"operations": [{"type": "blur", "sigma": 3000}]}),
        ("info", {"ratios": [[1]]}),
        ("info", {"ratios": [[1, 1]] * 9}),
    ):
        assert post(path, **query).status_code == 400


def test_the_page_loads_from_this_server_only(both: LiveServer) -> None:
    page = httpx.get(both.url + "/playground")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in SAMPLES:
        answer = httpx.get(f"{both.url}/playground/samples/{name}")
        assert answer.headers["content-type"].startswith("image/")
    assert httpx.get(both.url + "/playground/other.js").status_code == 404


def test_samples_are_sources_where_an_alias_leads_to_them(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from importlib.resources import files

    environment = {
        "FRAMEKEEP_PAGES_PLAYGROUND": "open",
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps(
            {"pictures": f"file://{files('proxy').joinpath('data', 'demo')}"}
        ),
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as server:
        samples = httpx.get(server.url + "/playground/api/config").json()["samples"]
        assert [sample["source"] for sample in samples] == [f"pictures:{name}" for name in SAMPLES]
        for sample in samples:
            answer = httpx.get(f"{server.url}/_/resize:16/{sample['source']}")
            assert answer.status_code == 200


def test_a_preset_is_a_step_and_keeps_its_name(presets: LiveServer) -> None:
    config = httpx.get(f"{presets.url}/playground/api/config", headers=ADMIN).json()
    assert (config["presets"], config["link_base"]) == (["card", "default"], "")
    chain = [
        {"type": "flip"},
        {"type": "preset", "name": "card"},
        {"type": "convert", "format": "png"},
    ]
    items = [{"source": SOURCE, "operations": chain}, {"source": SOURCE, "operations": []}]
    named, empty = make_links(presets, *items, **ADMIN).json()["links"]
    assert named["steps"] == ["flip", "preset:card", "convert:png"]
    assert named["path"].endswith(f"/flip/preset:card/convert:png/{SOURCE}")
    assert empty["path"].endswith(f"/preset/{SOURCE}")


@pytest.mark.parametrize("name", ["cards", None, 1, "default/flip"])
def test_an_error_of_a_chain_with_a_preset_names_the_step(
    presets: LiveServer, name: object
) -> None:
    unknown = [{"type": "flip"}, {"type": "preset", "name": name}]
    after = [{"type": "preset", "name": "card"}, {"type": "blur", "sigma": "much"}]
    items = [{"source": SOURCE, "operations": chain} for chain in (unknown, after)]
    first, second = make_links(presets, *items, **ADMIN).json()["links"]
    assert (first["operation"], first["field"]) == (1, "name")
    assert "must be one of card, default (FRAMEKEEP_LINKS_PRESETS)" in first["error"]
    assert second["operation"] == 1


def test_an_upload_is_rendered_with_a_preset(presets: LiveServer) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (80, 60), "red").save(picture, "PNG")
    chain = json.dumps([{"type": "preset", "name": "card"}])
    answer = httpx.post(
        f"{presets.url}/playground/api/render",
        params={"operations": chain}, content=picture.getvalue(), headers=ADMIN,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).size == (8, 6)
