"""The official Python client of Azure Computer Vision 3.2, unchanged."""

import io
import json
import re
import uuid

import numpy as np
import photos
import pytest
from azure.cognitiveservices.vision.computervision import ComputerVisionClient
from azure.cognitiveservices.vision.computervision.models import (
    ComputerVisionErrorResponseException,
)
from live_server import KEY, OTHER_KEY
from msrest.authentication import CognitiveServicesCredentials
from msrest.exceptions import HttpOperationError


def client(server, key=KEY):
    return ComputerVisionClient(server.url, CognitiveServicesCredentials(key))


@pytest.fixture
def url(server):
    return server.origin.serve("/off-centre.jpg", photos.off_center())


def thumbnail(server, *arguments, **options):
    with client(server) as vision:
        return b"".join(vision.generate_thumbnail(*arguments, **options))


def inner_code(error):
    return json.loads(error.response.content)["error"]["innererror"]["code"]


@pytest.mark.parametrize("size", [(200, 200), (1024, 1), (1, 1024), (50, 50), (1024, 1024), (1, 1)])
@pytest.mark.parametrize("smart", [True, False, None])
def test_thumbnails_have_exactly_the_requested_size(server, url, size, smart):
    assert photos.decode(thumbnail(server, *size, url, smart_cropping=smart)).size == size


def test_smart_cropping_keeps_a_subject_at_the_border(server, url):
    smart, plain = (
        np.asarray(
            photos.decode(thumbnail(server, 200, 200, url, smart_cropping=on)).convert("RGB")
        )
        for on in (True, False)
    )
    red = [(image[:, :, 0] > image[:, :, 1] + 60).mean() for image in (smart, plain)]
    assert red[0] > 0.05
    assert red[1] < 0.01


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_every_format_is_accepted_as_a_stream(server, kind):
    with client(server) as vision:
        data = io.BytesIO(photos.encode_scene(kind))
        chunks = vision.generate_thumbnail_in_stream(100, 50, data, smart_cropping=True)
        assert photos.decode(b"".join(chunks)).size == (100, 50)


def test_other_formats_are_rejected(server):
    with client(server) as vision, pytest.raises(HttpOperationError) as caught:
        vision.generate_thumbnail_in_stream(100, 50, io.BytesIO(photos.encode_scene("WEBP")))
    assert inner_code(caught.value) == "InvalidImageFormat"


def test_the_area_of_interest(server, url):
    with client(server) as vision:
        by_url = vision.get_area_of_interest(url)
        streamed = vision.get_area_of_interest_in_stream(io.BytesIO(photos.off_center()))
    area = by_url.area_of_interest
    assert (by_url.metadata.width, by_url.metadata.height) == (800, 300)
    assert by_url.metadata.format == "Jpeg"
    assert str(uuid.UUID(by_url.request_id)) == by_url.request_id
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", by_url.model_version)
    assert area.as_dict() == streamed.area_of_interest.as_dict()
    assert 0 <= area.x <= 690 <= area.x + area.w <= 800  # the middle of the square
    assert 0 <= area.y <= 150 <= area.y + area.h <= 300
    assert area.w < 700


def test_the_area_contains_the_face_and_matches_the_thumbnail(server):
    """And it is neither the whole image nor its center."""
    data = photos.face_on_the_right()
    with client(server) as vision:
        area = vision.get_area_of_interest_in_stream(io.BytesIO(data)).area_of_interest
        chunks = vision.generate_thumbnail_in_stream(
            200, 200, io.BytesIO(data), smart_cropping=True
        )
        thumbnail = photos.decode(b"".join(chunks)).convert("RGB")
    left, top, right, bottom = photos.FACE_BOX
    assert area.x <= left
    assert area.y <= top
    assert right <= area.x + area.w
    assert bottom <= area.y + area.h
    assert area.w < 450
    grey = np.abs(np.asarray(thumbnail, dtype=int) - 120).max(axis=2) < 8
    assert grey.mean() < 0.5  # the portrait is 256 wide, the window 384


@pytest.mark.parametrize("size", [(0, 10), (2000, 10), (10, 0), (10, 1025)])
def test_sizes_out_of_bounds_are_rejected(server, url, size):
    with pytest.raises(HttpOperationError) as caught:
        thumbnail(server, *size, url)
    assert caught.value.response.status_code == 400
    assert inner_code(caught.value) == "InvalidThumbnailSize"


@pytest.mark.parametrize("bad", ["http://127.0.0.1:1/none.jpg", "ftp://a/b", "nonsense", ""])
def test_inaccessible_urls_are_rejected(server, bad):
    with client(server) as vision, pytest.raises(ComputerVisionErrorResponseException) as caught:
        vision.get_area_of_interest(bad)
    assert caught.value.response.status_code == 400
    assert caught.value.error.error.code == "InvalidRequest"
    assert caught.value.error.error.innererror.code == "InvalidImageUrl"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"this is text", "InvalidImageFormat"),
        (b"", "InvalidImageFormat"),
        (photos.encode_scene("JPEG")[:3000], "InvalidImageFormat"),
        (photos.encode_scene("PNG", 49, 60), "InvalidImageSize"),
        (photos.encode_scene("PNG") + b"\0" * 4_194_304, "InvalidImageSize"),
    ],
)
def test_invalid_images_are_rejected(server, data, code):
    with client(server) as vision:
        with pytest.raises(HttpOperationError) as caught:
            vision.generate_thumbnail_in_stream(100, 50, io.BytesIO(data))
        assert inner_code(caught.value) == code
        with pytest.raises(ComputerVisionErrorResponseException) as caught:
            vision.get_area_of_interest_in_stream(io.BytesIO(data))
        assert caught.value.error.error.innererror.code == code


def test_fifty_pixels_are_accepted(server):
    with client(server) as vision:
        data = io.BytesIO(photos.encode_scene("PNG", 50, 50))
        assert vision.get_area_of_interest_in_stream(data).metadata.width == 50


def test_a_large_file_by_url_is_rejected(server):
    url = server.origin.serve("/large.png", photos.encode_scene("PNG") + b"\0" * 4_194_304)
    with client(server) as vision, pytest.raises(ComputerVisionErrorResponseException) as caught:
        vision.get_area_of_interest(url)
    assert caught.value.error.error.innererror.code == "InvalidImageSize"


@pytest.mark.parametrize("key", ["wrong", KEY.upper()])
def test_a_wrong_key_is_rejected(server, url, key):
    error = pytest.raises(ComputerVisionErrorResponseException)
    with client(server, key) as vision, error as caught:
        vision.get_area_of_interest(url)
    assert caught.value.response.status_code == 401
    assert caught.value.error.error.code == "401"


def test_each_of_two_keys_works(server, url):
    for key in (KEY, OTHER_KEY):
        with client(server, key) as vision:
            assert vision.get_area_of_interest(url).area_of_interest


def test_model_versions_are_accepted_by_their_dates(server, url):
    with client(server) as vision:
        assert vision.get_area_of_interest(url, "2021-04-01").model_version == "2021-04-01"
        assert vision.get_area_of_interest(url, "latest").model_version == "2021-05-01"
        with pytest.raises(ComputerVisionErrorResponseException) as caught:
            vision.get_area_of_interest(url, "1999-01-01")
    assert caught.value.response.status_code == 400
    assert caught.value.error.error.innererror.code == "BadArgument"


def test_the_client_may_choose_the_format(server, url):
    for kind in ("png", "jpeg", "webp"):
        data = thumbnail(server, 60, 60, url, custom_headers={"Accept": f"image/{kind}"})
        assert photos.decode(data).format.lower() == kind


def test_an_endpoint_may_end_in_a_slash(server, url):
    with ComputerVisionClient(server.url + "/", CognitiveServicesCredentials(KEY)) as vision:
        assert vision.get_area_of_interest(url).area_of_interest
