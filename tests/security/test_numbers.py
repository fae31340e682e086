"""Numbers with so many digits that Python refuses to convert them, wherever a number is read."""

import httpx2 as httpx
import pytest
from live_server import KEY
from security.response_checks import check_response

DIGITS = [19, 400, 4300, 4301, 7000]
KEYS = {"Authorization": f"Bearer {KEY}", "Ocp-Apim-Subscription-Key": KEY}
SOURCE = "http://127.0.0.1:1/a.jpg"
LINKS = [
    *("resize:{}:1", "resize:-{}:1", "resize:0.{}:1", "blur:{}", "blur:0.{}", "rotate:{}.5"),
    *("expires:{}", "v:{}", "info:{}x1", "convert:webp:{}", "crop:{}:{}:{}:{}", "page:{}"),
    *("smart_crop:1:1:{}", "resize:1:1:cover:{},0", "frames:{}", "resize:width={}", "resize:%30{}"),
]
ANALYZE = "/computervision/imageanalysis:analyze?features=smartCrops"
QUERIES = [
    "/vision/v3.2/generateThumbnail?width={}&height=9",
    "/vision/v3.2/generateThumbnail?width=9&height=-{}",
    "/vision/v{}/generateThumbnail?width=9&height=9",
    f"{ANALYZE}&api-version=2024-02-01&smartcrops-aspect-ratios={{}}",
    f"{ANALYZE}&api-version={{}}",
]
FLIP = '"operations":[{"type":"flip"}]'
FILE = '"file":{"type":"base64","base64":"AAAA"}'
BODIES = [
    f'{{"file":#,{FLIP}}}',
    f'{{"file":{{"type":"url","url":"https://a","fetch_options":{{"timeout_ms":#}}}},{FLIP}}}',
    f'{{"file":{{"type":"url","url":"https://127.0.0.1:#/"}},{FLIP}}}',
    f'{{{FILE},"operations":[{{"type":"blur","sigma":#}}]}}',
    f'{{{FILE},"operations":[{{"type":"blur","sigma":1e#}}]}}',
    f'{{{FILE},"operations":[{{"type":#}}]}}',
    f'{{{FILE},"operations":[{{"type":"resize","width_in_px":#,"height_in_px":-#,"fit":"fill"}}]}}',
    f'{{{FILE},"operations":[#]}}',
    '{"url":#}',
]
HEADERS = ["Range", "If-Modified-Since", "If-Range", "Priority", "Max-Forwards"]
DATES = "bytes={}-{}", "Mon, {} Jan 2024 00:00:00 GMT", "Mon, 1 Jan {} 00:00:00 +{}"


def number(digits: int) -> str:
    return "9" * digits


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("step", LINKS)
def test_numbers_in_links(client: httpx.Client, step: str, digits: int) -> None:
    written = step.format(*[number(digits)] * step.count("{}"))
    response = client.get(f"/_/{written}/{SOURCE}")
    check_response(response)
    assert 400 <= response.status_code <= 502


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("target", QUERIES)
def test_numbers_in_queries(client: httpx.Client, target: str, digits: int) -> None:
    response = client.post(target.format(number(digits)), headers=KEYS)
    check_response(response)
    assert 400 <= response.status_code < 500


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "path",
    ["/image-transformation/v1/transform", "/vision/v3.2/areaOfInterest", "/admin/purge"],
)
def test_numbers_in_json(client: httpx.Client, path: str, body: str, digits: int) -> None:
    written = body.replace("#", number(digits))
    headers = {**KEYS, "Content-Type": "application/json"}
    response = client.post(path, content=written.encode(), headers=headers)
    check_response(response)
    assert 400 <= response.status_code < 500


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("name", HEADERS)
def test_numbers_in_headers(client: httpx.Client, name: str, digits: int) -> None:
    for value in (*DATES, "{}"):
        written = value.format(*[number(digits)] * 3)
        response = client.get(f"/_/resize:1:1/{SOURCE}", headers={name: written})
        assert response.status_code != 500, (name, written[:30])


@pytest.mark.parametrize("fields", [64, 65, 1000, 5000])
@pytest.mark.parametrize("key", [{}, KEYS])
@pytest.mark.parametrize("target", QUERIES)
def test_queries_of_many_fields(
    client: httpx.Client, target: str, key: dict[str, str], fields: int
) -> None:
    response = client.post(target + "&a=b" * fields, headers=key)
    check_response(response)
    assert 400 <= response.status_code < 500
