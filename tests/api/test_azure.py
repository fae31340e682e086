"""Both Azure APIs over HTTP, where the official clients do not show it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import photos
import pictures
import pytest
from live_server import KEY, OTHER_KEY, LiveServer, live_server

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
IMAGE = photos.encode_scene("JPEG")
OCTET_STREAM = "application/octet-stream"
OCTETS = {"content-type": OCTET_STREAM}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    directory: Path = tmp_path_factory.mktemp("cache")
    with live_server(directory) as served:
        yield served


Body = bytes | Iterator[bytes]


def post(server: LiveServer, path: str, body: Body = IMAGE, **headers: str) -> httpx.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(
        server.url + path, content=body, headers={"ocp-apim-subscription-key": KEY, **fields}
    )


def vision(
    server: LiveServer,
    query: str = "width=60&height=40",
    body: Body = IMAGE,
    content_type: str = OCTET_STREAM,
    **headers: str,
) -> httpx.Response:
    path = f"/vision/v3.2/generateThumbnail?{query}"
    return post(server, path, body, content_type=content_type, **headers)


def analysis(
    server: LiveServer, query: str = "", body: Body = IMAGE, content_type: str = OCTET_STREAM
) -> httpx.Response:
    path = "/computervision/imageanalysis:analyze?api-version=2023-10-01&features=smartCrops"
    return post(server, f"{path}&{query}", body, content_type=content_type)


# Paths.


@pytest.mark.parametrize("version", ["v1.0", "v2.0", "v2.1", "v3.0", "v3.1", "v3.2"])
def test_thumbnails_by_every_version(server: LiveServer, version: str) -> None:
    response = post(
        server, f"/vision/{version}/generateThumbnail?width=60&height=40&smartCropping=true",
        content_type="application/octet-stream",
    )  # fmt: skip
    assert response.status_code == 200
    assert photos.decode(response.content).size == (60, 40)


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0", "v3.1"])
def test_older_versions_of_area_of_interest_have_no_model(server: LiveServer, version: str) -> None:
    response = post(
        server, f"/vision/{version}/areaOfInterest?model-version=x", content_type=OCTET_STREAM
    )
    assert set(response.json()) == {"areaOfInterest", "requestId", "metadata"}


@pytest.mark.parametrize(
    "path",
    [
        "/VISION/V3.2/GENERATETHUMBNAIL?width=60&height=40",
        "//vision//v3.2/generateThumbnail?width=60&height=40",
        "/vision/v3.2/generateThumbnail/?width=60&height=40",
        "/vision/v3.2/generateThumbnail?Width=60&HEIGHT=40&SMARTCROPPING=TRUE&other=1",
        "//computervision/imageanalysis:analyze?api-version=2023-10-01&features=smartCrops",
        "/computervision/imageanalysis%3Aanalyze?api-version=2024-02-01&features=SMARTCROPS",
        "/computervision/imageAnalysis:analyze?API-VERSION=2023-04-01-preview&Features=SmartCrops",
    ],
)
def test_case_and_extra_slashes_do_not_matter(server: LiveServer, path: str) -> None:
    assert post(server, path, content_type=OCTET_STREAM).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/vision/v3.2/analyze",
        "/vision/v9.9/generateThumbnail?width=60&height=40",
        "/vision/v1.0/areaOfInterest",
        "/vision",
        "/computervision/other",
        "/computervision/imageanalysis:analyze?features=smartCrops",
        "/computervision/imageanalysis:analyze?api-version=1999-01-01&features=smartCrops",
        "/computervision/imageanalysis:analyze?api-version=2023-10-01&model-name=mine",
        "/face/v1.0/detect?returnFaceId=false",
        "/formrecognizer/documentModels/prebuilt-read:analyze",
        "/text/analytics/v3.1/sentiment",
    ],
)
def test_unknown_paths_and_versions_are_not_found(server: LiveServer, path: str) -> None:
    response = post(server, path, content_type=OCTET_STREAM)
    assert response.status_code == 404
    assert response.json() == {"error": {"code": "404", "message": "Resource not found"}}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "/vision/v3.2/generateThumbnail?width=60&height=40",
        "/computervision/imageanalysis:analyze?api-version=2023-10-01&features=smartCrops",
    ],
)
def test_only_post_is_found(server: LiveServer, path: str, method: str) -> None:
    response = httpx.request(method, server.url + path)
    assert response.status_code == 404
    assert "allow" not in response.headers


# Keys.


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"ocp-apim-subscription-key": KEY}, "", 200),
        ({"Ocp-Apim-Subscription-Key": OTHER_KEY}, "", 200),
        ({"authorization": f"Bearer {KEY}"}, "", 200),
        ({}, f"&subscription-key={KEY}", 200),
        ({}, "", 401),
        ({"authorization": f"Basic {KEY}"}, "", 401),
        ({"ocp-apim-subscription-key": "wrong"}, "", 401),
        ({"ocp-apim-subscription-key": ""}, "", 401),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "/vision/v3.2/areaOfInterest?x=1",
        "/vision/v2.0/areaOfInterest?x=1",
        "/computervision/imageanalysis:analyze?api-version=2023-10-01&features=smartCrops",
    ],
)
def test_places_of_a_key(
    server: LiveServer, path: str, headers: dict[str, str], query: str, status: int
) -> None:
    response = httpx.post(server.url + path + query, content=IMAGE, headers=OCTETS | headers)
    assert response.status_code == status
    if status == 401:
        assert response.json()["error"]["code"] == "401"
        assert response.json()["error"]["message"].startswith("Access denied due to invalid")


def test_the_key_is_checked_before_the_query(server: LiveServer) -> None:
    path = "/vision/v3.2/generateThumbnail?width=0"
    assert httpx.post(server.url + path, content=b"", headers=OCTETS).status_code == 401


# Bodies.

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="img"; filename="a.jpg"\r\n'
    b"Content-Type: image/png\r\n\r\n" + IMAGE + b"\r\n--b--\r\n"
)


@pytest.mark.parametrize("call", [vision, analysis])
def test_every_form_of_body_has_the_same_result(
    server: LiveServer, call: Callable[..., httpx.Response]
) -> None:
    url = server.origin.serve("/forms.jpg", IMAGE)
    responses = [
        call(server, body=IMAGE),
        call(server, body=FORM, content_type="multipart/form-data; boundary=b"),
        call(server, body=FORM, content_type="multipart/form-data"),
        call(
            server,
            body=f'{{"url": "{url}", "other": [1]}}'.encode(),
            content_type="application/json; charset=utf-8",
        ),
        call(server, body=iter([IMAGE[:100], IMAGE[100:]])),
    ]
    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1


@pytest.mark.parametrize("call", [vision, analysis])
@pytest.mark.parametrize(
    "body",
    [
        "{{'url':'{url}'}}",
        "{{ 'Url' : \"{url}\" , }}\n",
        "{{url: '{url}'}}",
        '\ufeff{{"url": "{url}"}}',
        "\ufeff{{'url': '{url}'}}",
    ],
)
def test_json_is_accepted_as_quickstarts_write_it(
    server: LiveServer, call: Callable[..., httpx.Response], body: str
) -> None:
    url = server.origin.serve("/quickstart.jpg", IMAGE)
    response = call(server, body=body.format(url=url).encode(), content_type="application/json")
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("content_type", ["text/plain", "image/jpeg", ""])
def test_other_content_types_are_rejected(server: LiveServer, content_type: str) -> None:
    response = vision(server, content_type=content_type)
    assert response.status_code == 415
    assert response.json()["error"]["innererror"]["code"] == "UnsupportedMediaType"
    response = analysis(server, content_type=content_type)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == (
        f"The provided image content type {content_type} is not supported."
    )


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", "application/json", "BadArgument"),
        (b"[1]", "application/json", "BadArgument"),
        (b"[" * 60_000, "application/json", "BadArgument"),
        (b"{}", "application/json", "InvalidImageUrl"),
        (b'{"url": 7}', "application/json", "InvalidImageUrl"),
        (b"{'url': ''}", "application/json", "BadArgument"),
        (b"{'url': 'http://a/b', 'other': 1}", "application/json", "BadArgument"),
        (b"{'url': 'file:///etc/passwd'}", "application/json", "InvalidImageUrl"),
        (b'{"url": "file:///etc/passwd"}', "application/json", "InvalidImageUrl"),
        (b'{"url": "http://[::1"}', "application/json", "InvalidImageUrl"),
        (b'{"url": "http://10.0.0.1/a.jpg"}', "application/json", "InvalidImageUrl"),
        (b'{"url": "' + b"x" * 70_000 + b'"}', "application/json", "InvalidImageSize"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", "InvalidImageFormat"),
        (b"no form", "multipart/form-data", "InvalidImageFormat"),
        (b"", "application/octet-stream", "InvalidImageFormat"),
    ],
)
def test_invalid_bodies_are_rejected(
    server: LiveServer, body: bytes, content_type: str, code: str
) -> None:
    response = vision(server, body=body, content_type=content_type)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "InvalidRequest"
    assert response.json()["error"]["innererror"]["code"] == code
    assert analysis(server, body=body, content_type=content_type).status_code == 400


def test_a_compressed_body_is_rejected(server: LiveServer) -> None:
    response = vision(server, content_encoding="gzip")
    assert response.json()["error"]["innererror"]["code"] == "BadArgument"


def test_the_size_is_bounded_while_the_body_is_read(server: LiveServer) -> None:
    """The body is chunked, so that no header has its length; the rest is never read."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2000:
            sent += 1
            yield b"\0" * 65_536

    try:
        response = vision(server, body=endless())
    except httpx.TransportError:
        pass  # closed: all that matters is that it ended
    else:
        assert response.json()["error"]["innererror"]["code"] == "InvalidImageSize"
    assert sent < 2000


# Parameters.


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "BadArgument"),
        ("width=60", "BadArgument"),
        ("width=&height=40", "BadArgument"),
        ("width=6.5&height=40", "BadArgument"),
        ("width=1e2&height=40", "BadArgument"),
        ("width=99999999999&height=40", "BadArgument"),
        ("width=0&height=40", "InvalidThumbnailSize"),
        ("width=-5&height=40", "InvalidThumbnailSize"),
        ("width=60&height=1025", "InvalidThumbnailSize"),
        ("width=60&height=40&smartCropping=yes", "BadArgument"),
        ("width=60&height=40&model-version=soon", "BadArgument"),
        ("width=60&height=40&model-version=1999-01-01", "BadArgument"),
        ("width=60&height=40" + "&x=1" * 65, "BadArgument"),
    ],
)
def test_invalid_parameters_are_rejected(server: LiveServer, query: str, code: str) -> None:
    response = vision(server, query)
    assert response.status_code == 400
    assert response.json()["error"]["innererror"]["code"] == code


@pytest.mark.parametrize("model", ["latest", "latest-preview", "2021-04-01", "2021-05-01"])
def test_model_versions(server: LiveServer, model: str) -> None:
    assert vision(server, f"width=60&height=40&model-version={model}").status_code == 200


def test_older_versions_have_flat_errors(server: LiveServer) -> None:
    response = post(
        server, "/vision/v2.0/generateThumbnail?width=0&height=1", content_type=OCTET_STREAM
    )
    body = response.json()
    assert set(body) == {"code", "requestId", "message"}
    assert body["code"] == "InvalidThumbnailSize"
    assert body["requestId"] == response.headers["apim-request-id"]


@pytest.mark.parametrize(
    ("query", "status", "message", "inner"),
    [
        ("smartcrops-aspect-ratios=0.9%2C1.33", 200, "", ""),
        ("smartCrops-Aspect-Ratios=1,1.0,+1.5,15e-1,.9", 200, "", ""),
        ("smartcrops-aspect-ratios=", 200, "", ""),
        ("smartcrops-aspect-ratios=,", 200, "", ""),
        ("smartcrops-aspect-ratios=0.9,1.33,", 200, "", ""),
        ("smartcrops-aspect-ratios=0.9&smartcrops-aspect-ratios=7", 400, "Analyze", "BadArgument"),
        ("language=en&gender-neutral-caption=true&model-version=latest", 200, "", ""),
        ("smartcrops-aspect-ratios=1,x", 400, "Analyze query is invalid.", "BadArgument"),
        ("smartcrops-aspect-ratios=1,,1", 400, "Analyze query is invalid.", "BadArgument"),
        ("smartcrops-aspect-ratios=" + "1," * 16 + "1", 400, "Analyze query", "BadArgument"),
        ("language=xx", 400, "Analyze query is invalid.", "NotSupportedLanguage"),
        ("model-version=soon", 400, "Analyze query is invalid.", "BadArgument"),
    ],
)
def test_parameters_of_the_analysis(
    server: LiveServer, query: str, status: int, message: str, inner: str
) -> None:
    response = analysis(server, query)
    assert response.status_code == status
    if status != 200:
        error = response.json()["error"]
        assert error["message"].startswith(message)
        assert error["innererror"]["code"] == inner
        assert response.headers["x-ms-error-code"] == error["code"]


@pytest.mark.parametrize(
    ("features", "message", "inner"),
    [
        ("", "Either 'features' or 'model-name' needs to be specified", None),
        (",", "Either 'features' or 'model-name' needs to be specified", None),
        ("nonsense", "Analyze query is invalid.", "NotSupportedVisualFeature"),
        (
            "caption",
            "The feature 'Caption' is not supported in this region.",
            "NotSupportedFeature",
        ),
        ("SmartCrops,read", "The feature 'Read' is not supported", "NotSupportedFeature"),
    ],
)
def test_features(server: LiveServer, features: str, message: str, inner: str | None) -> None:
    path = f"/computervision/imageanalysis:analyze?api-version=2023-10-01&features={features}"
    error = post(server, path, content_type=OCTET_STREAM).json()["error"]
    assert error["message"].startswith(message)
    assert error.get("innererror", {}).get("code") == inner


def test_each_unsupported_feature_is_named(server: LiveServer) -> None:
    features = "features=tags,read,caption,denseCaptions&features=smartCrops,objects,people,tags"
    path = f"/computervision/imageanalysis:analyze?api-version=2024-02-01&{features}"
    response = post(server, path, content_type=OCTET_STREAM)
    assert response.status_code == 400
    assert response.json()["error"]["details"] == [
        {
            "code": "NotSupportedFeature",
            "message": f"The feature '{name}' is not supported in this region.",
        }
        for name in ("Tags", "Read", "Caption", "DenseCaptions", "Objects", "People")
    ]


def test_repeated_ratios_are_joined(server: LiveServer) -> None:
    query = "smartcrops-aspect-ratios=0.9&smartcrops-aspect-ratios=1.33,0.9"
    values = analysis(server, query).json()["smartCropsResult"]["values"]
    assert [value["aspectRatio"] for value in values] == [0.9, 1.33, 0.9]


# Responses.


def test_headers_of_every_response(server: LiveServer) -> None:
    for response in (vision(server), vision(server, "width=0"), analysis(server)):
        assert GUID.fullmatch(response.headers["apim-request-id"])
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "retry-after" not in response.headers


@pytest.mark.parametrize(
    ("kind", "accept", "media_type"),
    [
        ("JPEG", "application/octet-stream", "image/jpeg"),
        ("PNG", "*/*", "image/jpeg"),
        ("see-through", "*/*", "image/png"),
        ("see-through", "image/webp", "image/webp"),
        ("JPEG", "image/png", "image/png"),
        ("JPEG", "image/png;q=0.1,image/jpeg;q=0.2", "image/jpeg"),
        ("JPEG", "image/avif", "image/jpeg"),
    ],
)
def test_the_format_of_a_thumbnail_follows_accept_and_transparency(
    server: LiveServer, kind: str, accept: str, media_type: str
) -> None:
    body = photos.translucent_png() if kind == "see-through" else photos.encode_scene(kind)
    response = vision(server, body=body, accept=accept)
    assert response.headers["content-type"] == media_type


@pytest.mark.parametrize("zooms", [True, False])
def test_small_thumbnails_zoom_in_unless_a_setting_forbids_it(tmp_path: Path, zooms: bool) -> None:
    body = pictures.encode(pictures.red_square(1000, 800, 700, 300, 60))
    with live_server(
        tmp_path, {"FRAMEKEEP_AZURE_ZOOM_SMALL_THUMBNAILS": str(zooms).lower()}
    ) as server:
        small = vision(server, "width=50&height=50&smartCropping=true", body, accept="image/png")
    pixels = np.asarray(photos.decode(small.content).convert("RGB")).astype(int)
    red = int((pixels[:, :, 0] - pixels[:, :, 1] > 100).sum())
    assert (red > 30) == zooms
    assert red > 4


def test_only_the_first_frame_is_used(server: LiveServer) -> None:
    response = vision(server, body=photos.animated_gif(), accept="*/*")
    assert response.headers["content-type"] == "image/png"
    assert getattr(photos.decode(response.content), "n_frames", 1) == 1


def test_sizes_are_upright(server: LiveServer) -> None:
    body = photos.encode_scene("JPEG", exif=photos.rotated_exif())
    response = post(server, "/vision/v3.2/areaOfInterest", body, content_type=OCTET_STREAM).json()
    assert (response["metadata"]["width"], response["metadata"]["height"]) == (300, 400)


def test_a_small_image_is_enlarged(server: LiveServer) -> None:
    response = vision(server, "width=700&height=600", body=photos.encode_scene("PNG", 60, 60))
    assert photos.decode(response.content).size == (700, 600)


def test_no_key_is_needed_where_anonymous_requests_are_allowed(tmp_path: Path) -> None:
    with live_server(
        tmp_path, {"FRAMEKEEP_API_KEYS": "", "FRAMEKEEP_API_ALLOW_ANONYMOUS": "true"}
    ) as server:
        assert (
            post(server, "/vision/v3.2/areaOfInterest", content_type=OCTET_STREAM).status_code
            == 200
        )


def test_without_keys_the_apis_are_closed(tmp_path: Path) -> None:
    with live_server(tmp_path, {"FRAMEKEEP_API_KEYS": ""}) as server:
        assert (
            post(server, "/vision/v3.2/areaOfInterest", content_type=OCTET_STREAM).status_code
            == 401
        )


def test_the_limit_can_be_raised_and_all_formats_allowed(tmp_path: Path) -> None:
    settings = {
        "FRAMEKEEP_AZURE_VISION_MAX_BYTES": "9000000",
        "FRAMEKEEP_AZURE_ALLOW_ALL_FORMATS": "true",
    }
    with live_server(tmp_path, settings) as server:
        large = photos.encode_scene("WEBP") + b"\0" * 5_000_000
        assert vision(server, body=large).status_code == 200
