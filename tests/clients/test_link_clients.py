"""The clients under clients/ build the links of their vectors, and the server answers them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import framekeep_links
import httpx2 as httpx
import photos
import pytest
import vectors
from live_server import live_server

from proxy import Signer as ServerSigner
from proxy.errors import InvalidLink
from proxy.links import responsive

CLIENTS = Path(__file__).parents[2] / "clients"
LANGUAGES = Path(__file__).parent / "languages"
VECTORS = json.loads(vectors.VECTORS.read_text("utf-8"))
CLIENT = framekeep_links.Signer(VECTORS["base"], VECTORS["key"])


def arguments(case):
    names = (
        "original",
        "widths",
        "ratio",
        "crop",
        "max_width",
        "max_height",
        "formats",
        "sizes",
        "art",
    )
    return vectors.light_arguments({name: case[name] for name in names if name in case})


def call(case):
    match case["call"]:
        case "url":
            return CLIENT.url(case["source"], *case["steps"])
        case "step":
            return framekeep_links.step(case["name"], *case["values"], **case["fields"])
        case "rule":
            return CLIENT.rule(case["source"], *case["steps"])
        case "choose":
            rule = CLIENT.rule("media:a.jpg", *case["steps"])
            return framekeep_links.choose(rule, *case["values"])
        case "picture":
            return CLIENT.picture(case["source"], *case["steps"], **arguments(case))
        case _:
            return CLIENT.srcset(case["source"], *case["steps"], **arguments(case))


def choose_all(link, case):
    return [framekeep_links.choose(link, *choice["values"]) for choice in case["choices"]]


def run(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    ran = subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def check(found):
    assert found["links"] == [case["url"] for case in VECTORS["links"]]
    assert found["unsigned"] == [case["unsigned_url"] for case in VECTORS["links"]]
    assert found["steps"] == [case["step"] for case in VECTORS["steps"]]
    assert found["srcsets"] == [case["srcset"] for case in VECTORS["srcsets"]]
    assert found["candidates"] == [case["candidates"] for case in VECTORS["srcsets"]]
    assert found["width_grids"] == [case["width_grid"] for case in VECTORS["srcsets"]]
    assert found["pictures"] == [case["picture"] for case in VECTORS["pictures"]]
    assert found["rules"] == [case["rule"] for case in VECTORS["rules"]]
    choices = [[choice["url"] for choice in case["choices"]] for case in VECTORS["rules"]]
    assert found["choices"] == found["chosen_again"] == choices
    assert found["default_widths"] == VECTORS["default_widths"]
    assert [
        case
        for case, refused in zip(VECTORS["refused"], found["refused"], strict=True)
        if not refused
    ] == []
    assert all(found["bad_keys"])
    assert sorted(found["same_size_steps"]) == VECTORS["same_size_steps"]


def test_the_vectors_are_those_that_the_server_signs():
    assert vectors.as_json() == vectors.VECTORS.read_text("utf-8")


def test_the_steps_that_may_stand_in_a_srcset_keep_the_size():
    assert set(VECTORS["same_size_steps"]) == responsive.SAME_SIZE_STEPS


def test_the_signer_of_the_server_builds_the_same_links():
    signer = ServerSigner(
        VECTORS["base"], [VECTORS["key"]], aliases=["media"], presets={"card": "smart_crop:400:300"}
    )
    cases = [case for case in VECTORS["links"] if "preset:card" not in case["steps"]]
    built = [signer.url(case["parsed_source"], *case["steps"]) for case in cases]
    assert built == [case["url"] for case in cases]


def test_the_signer_of_the_server_builds_the_same_srcsets_and_pictures():
    signer = ServerSigner(VECTORS["base"], [VECTORS["key"]])
    for case in VECTORS["srcsets"]:
        built = signer.candidates(case["source"], *case["steps"], **arguments(case))
        assert [candidate._asdict() for candidate in built] == case["candidates"]
        assert signer.srcset(case["source"], *case["steps"], **arguments(case)) == case["srcset"]
    for case in VECTORS["pictures"]:
        picture = signer.picture(case["source"], *case["steps"], **arguments(case))
        assert json.loads(json.dumps(vectors.picture_data(picture))) == case["picture"]
    assert list(responsive.DEFAULT_WIDTHS) == VECTORS["default_widths"]


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["refused"] if case["call"] in {"srcset", "picture"}], ids=str
)
def test_the_signer_of_the_server_refuses_the_same_srcsets_and_pictures(case):
    signer = ServerSigner(VECTORS["base"], [VECTORS["key"]], presets={"card": "resize:80"})
    build = signer.srcset if case["call"] == "srcset" else signer.picture
    with pytest.raises(InvalidLink, match=r"srcset|picture"):
        build(case["source"], *case["steps"], **arguments(case))


def test_the_client_for_python_builds_the_links_of_the_vectors():
    unsigned = framekeep_links.Signer(VECTORS["base"] + "/", None)
    found = {
        "links": [CLIENT.url(case["source"], *case["steps"]) for case in VECTORS["links"]],
        "unsigned": [unsigned.url(case["source"], *case["steps"]) for case in VECTORS["links"]],
        "steps": [call({"call": "step", **case}) for case in VECTORS["steps"]],
        "srcsets": [call({"call": "srcset", **case}) for case in VECTORS["srcsets"]],
        "candidates": [
            [
                candidate._asdict()
                for candidate in CLIENT.candidates(
                    case["source"], *case["steps"], **arguments(case)
                )
            ]
            for case in VECTORS["srcsets"]
        ],
        "width_grids": [vectors.grid_of(case) for case in VECTORS["srcsets"]],
        "pictures": [
            json.loads(json.dumps(vectors.picture_data(call({"call": "picture", **case}))))
            for case in VECTORS["pictures"]
        ],
        "rules": [call({"call": "rule", **case}) for case in VECTORS["rules"]],
        "choices": [choose_all(case["rule"], case) for case in VECTORS["rules"]],
        "chosen_again": [choose_all(case["choices"][0]["url"], case) for case in VECTORS["rules"]],
        "default_widths": list(framekeep_links.DEFAULT_WIDTHS),
        "refused": [True] * len(VECTORS["refused"]),
        "bad_keys": [True],
        "same_size_steps": framekeep_links.SAME_SIZE_STEPS,
    }
    check(found)


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: f"{case['call']}")
def test_the_client_for_python_refuses_what_no_server_takes(case):
    with pytest.raises(ValueError, match=r"source|step|srcset|picture|rule|choose"):
        call(case)


@pytest.mark.parametrize("key", VECTORS["bad_keys"])
def test_a_bad_key_is_refused_and_not_repeated(key):
    with pytest.raises(ValueError, match="16 to 128 bytes") as refused:
        framekeep_links.Signer(VECTORS["base"], key)
    assert not key.strip() or key.strip() not in str(refused.value)


def test_the_client_for_python_imports_nothing_but_the_standard_library():
    code = (
        f"import sys; sys.path.insert(0, {str(CLIENTS / 'python')!r}); import framekeep_links; "
        "names = {name.partition('.')[0] for name in sys.modules}; "
        "print(*(names - set(sys.stdlib_module_names) - {'__main__'}))"
    )
    assert run(sys.executable, "-S", "-c", code).split() == ["framekeep_links"]


@pytest.mark.parametrize("module", ["index", "node"])
def test_the_client_for_javascript_builds_the_links_of_the_vectors(module):
    script = LANGUAGES / "links.mjs"
    check(json.loads(run("node", script, CLIENTS / "javascript", module, vectors.VECTORS)))


def test_the_client_for_php_builds_the_links_of_the_vectors():
    script = LANGUAGES / "links.php"
    check(json.loads(run("php", script, CLIENTS / "php" / "Framekeep.php", vectors.VECTORS)))


def test_the_client_for_ruby_builds_the_links_of_the_vectors():
    script = LANGUAGES / "links.rb"
    check(json.loads(run("ruby", script, CLIENTS / "ruby" / "framekeep.rb", vectors.VECTORS)))


def test_the_client_for_go_builds_the_links_of_the_vectors():
    assert "ok" in run("go", "test", "-C", CLIENTS / "go", "-count=1", "./...")


def path_below_the_mount(url):
    return url.removeprefix(VECTORS["base"])


def written_out(steps, url):
    """The steps with the values that the link chooses in place of the open fields.

    Client hints, which are not sent here, choose the first value after ``auto``.
    """
    choice = path_below_the_mount(url).split("/")[2]
    values = iter(choice.removeprefix("choose:").split(":"))

    def value_of(field):
        value = next(values)
        return field[1].split(",")[1] if value == "auto" else value

    return [re.sub(r"\{([^{}]*)\}", value_of, step) for step in steps]


@pytest.mark.parametrize("case", VECTORS["rules"], ids=lambda case: "/".join(case["steps"]))
def test_the_server_reads_every_choice_as_the_link_that_is_written_out(case):
    source = case["source"]
    if "://" in source:  # as the link has it; an alias is decoded
        source = source.replace("{", "%7B").replace("}", "%7D")
    for choice in case["choices"]:
        parsed = vectors.DIALECT.parse(path_below_the_mount(choice["url"]).encode())
        steps = written_out(case["steps"], choice["url"])
        request = vectors.CONTEXT.make_request(source, steps)
        assert (parsed.source, parsed.plan) == (request.source, request.plan)


def test_the_server_answers_a_chosen_link_that_every_client_builds(tmp_path):
    [case] = [case for case in VECTORS["rules"] if case["source"].startswith("media:")]
    original = tmp_path / "media" / case["source"].removeprefix("media:")
    original.parent.mkdir(parents=True)
    original.write_bytes(photos.encode_scene("PNG", 400, 300))
    settings = {
        "FRAMEKEEP_LINKS_KEYS": VECTORS["key"],
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false",
        "FRAMEKEEP_SERVER_PATH_PREFIX": "/img",
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"media": f"file://{tmp_path}/media"}),
    }
    with live_server(tmp_path / "cache", settings) as server:
        for choice in case["choices"]:
            answer = get(f"{server.url}/img{path_below_the_mount(choice['url'])}")
            width = int(written_out(case["steps"], choice["url"])[0].removeprefix("resize:"))
            assert photos.decode(answer.content).size == (width, width * 3 // 4)
        refused = case["choices"][0]["url"].replace("choose:160", "choose:161")
        answer = httpx.get(f"{server.url}/img{path_below_the_mount(refused)}", trust_env=False)
        assert answer.status_code == 400
        assert "161" in answer.text


@pytest.fixture(scope="module")
def signing_server(tmp_path_factory):
    settings = {"FRAMEKEEP_LINKS_KEYS": VECTORS["key"], "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false"}
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


def get(url):
    answer = httpx.get(url, trust_env=False, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_width": 301},
        {"max_height": 77},
        {"ratio": (16, 9)},
        {"ratio": (1, 3), "crop": "center"},
        {"ratio": (1200, 630), "max_height": 111},
    ],
    ids=str,
)
def test_the_images_of_a_srcset_have_the_sizes_that_it_says(signing_server, options):
    source = signing_server.origin.serve("/photo.png", photos.encode_scene("PNG", 401, 299))
    client = framekeep_links.Signer(signing_server.url, VECTORS["key"])
    candidates = client.candidates(
        source, "sharpen:0.5", "convert:png", original=(401, 299), widths=(100, 333, 800), **options
    )
    for candidate in candidates:
        image = photos.decode(get(candidate.url).content)
        assert image.size == (candidate.width, candidate.height)
        assert candidate.width <= min(401, options.get("max_width", 401))
        assert candidate.height <= min(299, options.get("max_height", 299))


def test_a_picture_has_another_shape_where_a_media_condition_holds(signing_server):
    source = signing_server.origin.serve("/photo.png", photos.encode_scene("PNG", 401, 299))
    signer = ServerSigner(signing_server.url, [VECTORS["key"]])
    picture = signer.picture(
        source, original=(401, 299), formats=["png"], art=[("(max-width: 40em)", (1, 2))]
    )
    [portrait] = picture.sources
    assert portrait.media == "(max-width: 40em)"
    largest = photos.decode(get(portrait.srcset.split(", ")[-1].split(" ")[0]).content)
    assert largest.size == (portrait.width, portrait.height) == (149, 298)
    assert photos.decode(get(picture.src).content).size == (401, 299)


def test_the_images_of_a_picture_have_the_types_that_it_says(signing_server):
    source = signing_server.origin.serve("/small.png", photos.encode_scene("PNG", 80, 60))
    client = framekeep_links.Signer(signing_server.url, VECTORS["key"])
    picture = client.picture(source, original=(80, 60), widths=(40,))
    for item in picture.sources:
        assert get(item.srcset.split(" ")[0]).headers["content-type"] == item.type
    largest = photos.decode(get(picture.src).content)
    assert largest.size == (picture.width, picture.height) == (80, 60)


@pytest.mark.parametrize(
    "name", ["/a b.png", "/ü.png", "/100%.png", "/a,.png,", "//a.png", '/"<>.png']
)
def test_a_source_that_needs_encoding_is_fetched(signing_server, name):
    client = framekeep_links.Signer(signing_server.url, VECTORS["key"])
    plain = signing_server.origin.serve("/plain.png", photos.encode_scene("PNG", 40, 30))
    base = plain.removesuffix("/plain.png")
    signing_server.origin.serve(quote(name, safe="/,"), photos.encode_scene("PNG", 40, 30))
    assert photos.decode(get(client.url(f"{base}{name}", "resize:20")).content).size == (20, 15)
