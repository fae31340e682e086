"""The official Python client of Azure Image Analysis 4.0, unchanged, sync and async."""

import io

import photos
import pytest
from azure.ai.vision.imageanalysis import ImageAnalysisClient
from azure.ai.vision.imageanalysis.aio import ImageAnalysisClient as AsyncClient
from azure.ai.vision.imageanalysis.models import VisualFeatures
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from live_server import KEY, OTHER_KEY

CROPS = [VisualFeatures.SMART_CROPS]


def client(server, key=KEY, **options):
    return ImageAnalysisClient(server.url, AzureKeyCredential(key), retry_total=0, **options)


def crops(result):
    boxes = [(crop.aspect_ratio, crop.bounding_box) for crop in result.smart_crops.list]
    return [(ratio, box.x, box.y, box.width, box.height) for ratio, box in boxes]


def check(result, ratios):
    assert [crop.aspect_ratio for crop in result.smart_crops.list] == ratios
    for ratio, x, y, width, height in crops(result):
        assert x >= 0
        assert y >= 0
        assert x + width <= result.metadata.width
        assert y + height <= result.metadata.height
        assert abs(width - ratio * height) <= max(1, ratio)


def test_crops_are_in_the_order_of_the_ratios(server):
    with client(server) as vision:
        result = vision.analyze(
            photos.off_center(), CROPS, smart_crops_aspect_ratios=[0.75, 1.0, 1.5, 1.0]
        )
        check(result, [0.75, 1.0, 1.5, 1.0])
        url = server.origin.serve("/off-centre.jpg", photos.off_center())
        by_url = vision.analyze_from_url(url, CROPS, smart_crops_aspect_ratios=[0.75, 1, 1.5, 1.0])
        assert crops(by_url) == crops(result)
        opened = io.BytesIO(photos.off_center())
        assert crops(vision.analyze(opened, CROPS, smart_crops_aspect_ratios=[1.5])) == [
            crops(result)[2]
        ]


@pytest.mark.anyio
async def test_the_async_client_gets_the_same_result(server):
    async with AsyncClient(server.url, AzureKeyCredential(KEY), retry_total=0) as vision:
        result = await vision.analyze(
            photos.off_center(), CROPS, smart_crops_aspect_ratios=[0.75, 1.0, 1.5]
        )
    check(result, [0.75, 1.0, 1.5])


@pytest.mark.parametrize("ratios", [None, []])
def test_without_ratios_the_crop_has_a_ratio_within_the_limits(server, ratios):
    with client(server) as vision:
        result = vision.analyze(photos.off_center(), CROPS, smart_crops_aspect_ratios=ratios)
    (crop,) = result.smart_crops.list
    assert 0.5 <= crop.aspect_ratio <= 2.0
    box = crop.bounding_box
    assert abs(box.width - crop.aspect_ratio * box.height) <= max(2, 0.01 * box.height)
    assert box.x <= 640
    assert box.x + box.width >= 740


def test_the_limits_of_the_ratio_are_allowed(server):
    with client(server) as vision:
        data = photos.off_center()
        check(vision.analyze(data, CROPS, smart_crops_aspect_ratios=[0.75, 1.8]), [0.75, 1.8])
        for outside in (0.74, 1.81, 0, -1, float("nan"), float("inf")):
            with pytest.raises(HttpResponseError) as caught:
                vision.analyze(data, CROPS, smart_crops_aspect_ratios=[outside])
            assert caught.value.status_code == 400
            assert caught.value.error.innererror["code"] == "BadArgument"


def test_other_features_are_rejected(server):
    with client(server) as vision:
        data = photos.off_center()
        with pytest.raises(HttpResponseError, match="The feature 'Tags' is not supported"):
            vision.analyze(data, [VisualFeatures.SMART_CROPS, VisualFeatures.TAGS])
        with pytest.raises(HttpResponseError) as caught:
            vision.analyze(data, ["nonsense"])
        assert caught.value.error.innererror["code"] == "NotSupportedVisualFeature"
        with pytest.raises(HttpResponseError) as caught:
            vision.analyze(data, [])
        assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("data", "inner"),
    [
        (b"this is text", "InvalidImageFormat"),
        (photos.encode_scene("JPEG")[:3000], "InvalidImageFormat"),
        (b"", None),
        (b"\0" * 20_971_521, None),
        (photos.encode_scene("PNG", 49, 60), None),
    ],
)
def test_invalid_images_are_rejected(server, data, inner):
    with client(server) as vision, pytest.raises(HttpResponseError) as caught:
        vision.analyze(data, CROPS)
    assert caught.value.status_code == 400
    assert caught.value.error.code == "InvalidRequest"
    assert (caught.value.error.innererror or {}).get("code") == inner


def test_inaccessible_urls_are_rejected(server):
    with client(server) as vision:
        for url in ("http://127.0.0.1:1/none.jpg", "nonsense"):
            with pytest.raises(HttpResponseError) as caught:
                vision.analyze_from_url(url, CROPS)
            assert caught.value.status_code == 400


def test_a_wrong_key_is_rejected(server):
    with client(server, "wrong") as vision, pytest.raises(ClientAuthenticationError) as caught:
        vision.analyze(photos.off_center(), CROPS)
    assert caught.value.error.code == "401"


def test_each_of_two_keys_works(server):
    for key in (KEY, OTHER_KEY):
        with client(server, key) as vision:
            assert vision.analyze(photos.off_center(), CROPS).smart_crops.list


def test_an_endpoint_may_end_in_a_slash(server):
    with ImageAnalysisClient(server.url + "/", AzureKeyCredential(KEY), retry_total=0) as vision:
        assert vision.analyze(photos.off_center(), CROPS).smart_crops.list


def test_api_versions(server):
    with client(server, api_version="2024-02-01") as vision:
        assert vision.analyze(photos.off_center(), CROPS).smart_crops.list
    old = client(server, api_version="1999-01-01")
    with old as vision, pytest.raises(ResourceNotFoundError):
        vision.analyze(photos.off_center(), CROPS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO"])
def test_every_format_is_accepted(server, kind):
    side = {"width": 256, "height": 256} if kind == "ICO" else {}
    with client(server) as vision:
        assert vision.analyze(photos.encode_scene(kind, **side), CROPS).smart_crops.list


def test_every_crop_contains_the_face(server):
    data = photos.face_on_the_right()
    with client(server) as vision:
        result = vision.analyze(data, CROPS, smart_crops_aspect_ratios=[0.75, 1.0, 1.8])
        own = vision.analyze(data, CROPS)
    check(result, [0.75, 1.0, 1.8])
    for _, x, y, width, height in crops(result) + crops(own):
        assert x <= photos.FACE_BOX[0]
        assert y <= photos.FACE_BOX[1]
        assert photos.FACE_BOX[2] <= x + width
        assert photos.FACE_BOX[3] <= y + height
