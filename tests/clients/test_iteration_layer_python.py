"""The official Python clients of Iteration Layer, both lines, unchanged."""

import base64
import hashlib
import importlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import photos
import pytest
from aiohttp import web
from live_server import KEY, live_server

OLD = Path(sys.prefix) / "clients" / "iterationlayer-1"

CONVERT = {"type": "convert", "format": "webp", "quality": 80}


class New:
    """Line 2: takes bytes and gives bytes."""

    def __init__(self, url, key=KEY):
        import iterationlayer

        self.failure = iterationlayer.IterationLayerError
        self.client = iterationlayer.IterationLayer(api_key=key, base_url=url)

    def transform(self, file, operations):
        result = self.client.transform_image(file=file, operations=operations)
        return result["buffer"], result["mime_type"]

    def later(self, file, operations, webhook):
        return self.client.transform_image_async(
            file=file, operations=operations, webhook_url=webhook
        )

    @staticmethod
    def inline(data):
        return {"type": "base64", "base64": data}


class Old:
    """Line 1: takes base64 and gives base64. It is installed apart from line 2."""

    def __init__(self, url, key=KEY):
        if not OLD.is_dir():
            pytest.skip("iterationlayer 1.x is not installed; scripts/install does it")
        saved = {name: sys.modules.pop(name) for name in list(sys.modules) if _ours(name)}
        sys.path.insert(0, str(OLD))
        try:
            package = importlib.import_module("iterationlayer")
        finally:
            sys.path.remove(str(OLD))
            for name in [name for name in sys.modules if _ours(name)]:
                del sys.modules[name]
            sys.modules.update(saved)
        self.failure = package.IterationLayerError
        self.client = package.IterationLayer(api_key=key, base_url=url)

    def transform(self, file, operations):
        result = self.client.transform(file=file, operations=operations)
        return base64.b64decode(result["buffer"]), result["mime_type"]

    def later(self, file, operations, webhook):
        return self.client.transform_async(file=file, operations=operations, webhook_url=webhook)

    @staticmethod
    def inline(data):
        return {"type": "base64", "name": "a.jpg", "base64": base64.b64encode(data).decode()}


def _ours(name):
    return name.partition(".")[0] == "iterationlayer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {
        "FRAMEKEEP_TRANSFORM_ALLOW_HTTP": "true",
        "FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_HTTP": "true",
        "FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_TRANSFORM_WEBHOOK_BACKOFF_SECONDS": "0.01",
    }
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


@pytest.fixture(params=[New, Old])
def line(request):
    return request.param


@pytest.fixture
def client(server, line):
    made = line(server.url)
    yield made
    made.client._client.close()


def by_url(server, data):
    """Serve each image at its own URL, as the server caches originals."""
    path = f"/{hashlib.sha256(data).hexdigest()}.jpg"
    return {"type": "url", "name": "photo.jpg", "url": server.origin.serve(path, data)}


def test_resize_by_url(server, client):
    file = by_url(server, photos.PORTRAIT)
    cover = {"type": "resize", "width_in_px": 200, "height_in_px": 200, "fit": "cover"}
    data, media_type = client.transform(file, [cover, CONVERT])
    assert media_type == "image/webp"
    assert (photos.decode(data).size, photos.decode(data).format) == ((200, 200), "WEBP")


def test_base64_gives_the_same_bytes_as_a_url(server, client):
    operations = [{"type": "smart_crop", "width_in_px": 200, "height_in_px": 200}, CONVERT]
    sent = client.transform(client.inline(photos.PORTRAIT), operations)
    assert sent == client.transform(by_url(server, photos.PORTRAIT), operations)
    assert photos.decode(sent[0]).size == (200, 200)


def test_three_sizes_of_an_upload_in_parallel(server, client):
    upload = photos.encode_scene("JPEG", 1600, 1200)
    path = f"/upload-{type(client).__name__}.jpg"
    file = {"type": "url", "name": "upload.jpg", "url": server.origin.serve(path, upload)}
    sizes = [(200, 200), (800, 600), (1200, 630)]

    def made(size):
        crop = {"type": "smart_crop", "width_in_px": size[0], "height_in_px": size[1]}
        sharpen = {"type": "sharpen", "sigma": 0.5}
        convert = {"type": "convert", "format": "webp", "quality": 85}
        return client.transform(file, [crop, sharpen, convert])

    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(made, sizes))
    assert [photos.decode(data).size for data, _ in results] == sizes
    assert {media_type for _, media_type in results} == {"image/webp"}
    assert server.origin.count(path) == 1


def test_an_email_thumbnail(server, client):
    cover = {"type": "resize", "width_in_px": 150, "height_in_px": 150, "fit": "cover"}
    jpeg = {"type": "convert", "format": "jpeg", "quality": 75}
    data, media_type = client.transform(by_url(server, photos.PORTRAIT), [cover, jpeg])
    assert media_type == "image/jpeg"
    assert photos.decode(data).size == (150, 150)


# Every operation alone, on an image of 400 by 300, and the size of its result.
EVERY = [
    ({"type": "resize", "width_in_px": 90, "height_in_px": 60, "fit": "cover"}, (90, 60)),
    ({"type": "resize", "width_in_px": 90, "height_in_px": 90, "fit": "contain"}, (90, 90)),
    ({"type": "resize", "width_in_px": 90, "height_in_px": 20, "fit": "fill"}, (90, 20)),
    ({"type": "resize", "width_in_px": 90, "height_in_px": 90, "fit": "inside"}, (90, 68)),
    ({"type": "resize", "width_in_px": 800, "height_in_px": 300, "fit": "outside"}, (800, 600)),
    (
        {"type": "crop", "left_in_px": 5, "top_in_px": 6, "width_in_px": 70, "height_in_px": 80},
        (70, 80),
    ),
    ({"type": "smart_crop", "width_in_px": 70, "height_in_px": 80}, (70, 80)),
    (
        {
            "type": "extend",
            "top_in_px": 1,
            "bottom_in_px": 2,
            "left_in_px": 3,
            "right_in_px": 4,
            "hex_color": "#FF0000",
        },
        (407, 303),
    ),
    ({"type": "trim", "threshold": 10}, None),
    ({"type": "rotate", "angle_in_degrees": 90}, (300, 400)),
    ({"type": "rotate", "angle_in_degrees": 12.5, "hex_color": "#ffffff"}, None),
    ({"type": "flip"}, (400, 300)),
    ({"type": "flop"}, (400, 300)),
    ({"type": "blur", "sigma": 1.5}, (400, 300)),
    ({"type": "sharpen", "sigma": 0.5}, (400, 300)),
    ({"type": "modulate", "brightness": 1.1, "saturation": 0.5, "hue": 90}, (400, 300)),
    ({"type": "tint", "hex_color": "#336699"}, (400, 300)),
    ({"type": "grayscale"}, (400, 300)),
    ({"type": "invert_colors"}, (400, 300)),
    ({"type": "auto_contrast"}, (400, 300)),
    ({"type": "gamma", "gamma": 1.8}, (400, 300)),
    ({"type": "remove_transparency", "hex_color": "#00FF00"}, (400, 300)),
    ({"type": "threshold", "value": 128, "is_grayscale": True}, (400, 300)),
    ({"type": "denoise", "size": 3}, (400, 300)),
    ({"type": "opacity", "opacity_in_percent": 50}, (400, 300)),
    ({"type": "convert", "format": "avif", "quality": 50}, (400, 300)),
    ({"type": "upscale", "factor": 2}, (800, 600)),
    ({"type": "compress_to_size", "max_file_size_in_bytes": 6000}, None),
    ({"type": "remove_background"}, (400, 300)),
]


@pytest.mark.parametrize(("operation", "size"), EVERY, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize(
    "picture", [photos.encode_scene("JPEG"), photos.translucent_png()], ids=["jpeg", "alpha"]
)
def test_every_operation(server, operation, size, picture):
    client = New(server.url)
    with client.client._client:
        data, media_type = client.transform(client.inline(picture), [operation])
    if media_type != "image/avif":  # which Pillow may not read
        opened = photos.decode(data)
        assert size is None or opened.size == size
    if operation["type"] == "compress_to_size":
        assert len(data) <= 6000


# Published examples, and the size of their results.
PIPELINES = [
    ("resize 300x200 cover, convert webp 80", (300, 200), "image/webp"),
    ("resize 1080x1080 cover, convert jpeg 90", (1080, 1080), "image/jpeg"),
    ("smart_crop 256x256, remove_background, convert webp 85", (256, 256), "image/webp"),
    ("smart_crop 400x400, convert jpeg 90", (400, 400), "image/jpeg"),
    ("smart_crop 1000x1000", (1000, 1000), "image/jpeg"),
    (
        "remove_background #FFFFFF, resize 2000x2000 contain, convert jpeg 90",
        (2000, 2000),
        "image/jpeg",
    ),
    ("smart_crop 2000x2000, sharpen 1.0, convert jpeg 90", (2000, 2000), "image/jpeg"),
    ("resize 2048x2048 contain, sharpen 1.2, convert webp 85", (2048, 2048), "image/webp"),
    (
        "resize 1000x1000 contain, auto_contrast, sharpen 1.5, convert webp 85",
        (1000, 1000),
        "image/webp",
    ),
    (
        "resize 1920x1080 cover, auto_contrast, sharpen 1.5, convert jpeg 90",
        (1920, 1080),
        "image/jpeg",
    ),
    ("resize 1500x2400 inside, sharpen 0.5, convert jpeg 95", None, "image/jpeg"),
    (
        "resize 1200x900 inside, sharpen 0.5, convert jpeg 85, compress_to_size 500000",
        None,
        "image/jpeg",
    ),
    ("compress_to_size 500000", None, "image/jpeg"),
    ("remove_background, resize 600x600 contain, convert png", (600, 600), "image/png"),
    ("upscale 4, convert png", None, "image/png"),
    ("convert webp 85", None, "image/webp"),
    ("smart_crop 256x256, convert webp 80", (256, 256), "image/webp"),
    ("smart_crop 400x300, sharpen 0.5, convert webp 85", (400, 300), "image/webp"),
    ("smart_crop 300x300, convert webp 80", (300, 300), "image/webp"),
]


def operation(text):
    name, *arguments = text.split()
    fields = {}
    if name in ("resize", "smart_crop"):
        width, height = map(int, arguments[0].split("x"))
        fields = {"width_in_px": width, "height_in_px": height}
        fields |= {"fit": arguments[1]} if name == "resize" else {}
    elif name == "sharpen":
        fields = {"sigma": float(arguments[0])}
    elif arguments:
        numbers = [int(argument) for argument in arguments if argument.isdigit()]
        fields = {
            "convert": {"format": arguments[0]} | ({"quality": numbers[-1]} if numbers else {}),
            "compress_to_size": {"max_file_size_in_bytes": sum(numbers)},
            "upscale": {"factor": sum(numbers)},
            "remove_background": {"background_hex_color": arguments[0]},
        }[name]
    return {"type": name} | fields


@pytest.mark.parametrize(("pipeline", "size", "expected_type"), PIPELINES)
def test_every_published_pipeline(server, pipeline, size, expected_type):
    steps = [operation(step) for step in pipeline.split(", ")]
    client = New(server.url)
    with client.client._client:
        data, media_type = client.transform(client.inline(photos.PORTRAIT), steps)
    assert media_type == expected_type
    assert size is None or photos.decode(data).size == size


def test_thirty_operations_are_the_maximum(server, client):
    file = by_url(server, photos.encode_scene("PNG", 60, 40))
    assert client.transform(file, [{"type": "flip"}] * 30)
    with pytest.raises(client.failure) as caught:
        client.transform(file, [{"type": "flip"}] * 31)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([], 400),
        ([{"type": "paint"}], 400),
        ([{"type": "resize", "width_in_px": 5}], 400),
        ([{"type": "convert", "format": "webp", "quality": 0}], 400),
        ([{"type": "convert", "format": "webp", "quality": 101}], 400),
        ([{"type": "upscale", "factor": 5}], 400),
        (
            [
                {
                    "type": "crop",
                    "left_in_px": 0,
                    "top_in_px": 0,
                    "width_in_px": 5000,
                    "height_in_px": 5,
                }
            ],
            422,
        ),
        ([{"type": "tint", "hex_color": "reddish"}], 422),
    ],
)
def test_invalid_operations_are_rejected(server, client, operations, status):
    with pytest.raises(client.failure) as caught:
        client.transform(by_url(server, photos.encode_scene("JPEG")), operations)
    assert caught.value.status_code == status
    assert isinstance(caught.value.error_message, str)
    assert len(caught.value.error_message) > 10


def test_invalid_files_are_rejected(server, client):
    flip = [{"type": "flip"}]
    for file, status in (
        (client.inline(photos.encode_scene("JPEG")[:4000]), 422),
        (client.inline(b"this is text"), 400),
        ({"type": "url", "name": "a", "url": "http://127.0.0.1:1/a.jpg"}, 422),
        ({"type": "url", "name": "a", "url": server.origin.url("/nothing.jpg")}, 422),
        (by_url(server, b"\xff\xd8\xff" + b"\0" * 52_428_800), 413),
    ):
        with pytest.raises(client.failure) as caught:
            client.transform(file, flip)
        assert caught.value.status_code == status


def test_fifty_megabytes_by_url(server, client):
    """Bytes behind the end of an image are ignored, but they are fetched."""
    picture = photos.encode_scene("PNG")
    large = picture + b"\0" * (52_428_800 - len(picture))
    data, _ = client.transform(by_url(server, large), [{"type": "flip"}])
    assert photos.decode(data).size == (400, 300)


def test_a_wrong_key_is_rejected(server, line):
    stranger = line(server.url, "wrong")
    with stranger.client._client, pytest.raises(stranger.failure) as caught:
        stranger.transform(stranger.inline(photos.PORTRAIT), [{"type": "flip"}])
    assert (caught.value.status_code, caught.value.error_message) == (401, "Invalid API key")


def test_cmyk_alpha_and_animations(client):
    jpeg = [{"type": "convert", "format": "jpeg"}]
    for picture in (photos.cmyk_jpeg(), photos.translucent_png(), photos.animated_gif()):
        data, media_type = client.transform(client.inline(picture), jpeg)
        assert media_type == "image/jpeg"
        assert photos.decode(data).mode == "RGB"


class Receiver:
    """Records what it receives; answers with these statuses, then with 200."""

    def __init__(self, server, path, *statuses):
        self.bodies, self.accepted = [], threading.Event()
        self._statuses = list(statuses)
        self.url = server.origin.handle(path, self._take)

    async def _take(self, request):
        self.bodies.append(json.loads(await request.read()))
        status = self._statuses.pop(0) if self._statuses else 200
        if status == 200:
            self.accepted.set()
        return web.Response(status=status)


def test_a_result_is_sent_to_the_webhook(server, client):
    receiver = Receiver(server, f"/hook-{type(client).__name__}")
    crop = [{"type": "smart_crop", "width_in_px": 50, "height_in_px": 40}]
    accepted = client.later(by_url(server, photos.encode_scene("PNG")), crop, receiver.url)
    assert accepted["async"] is True
    assert receiver.accepted.wait(30)
    (sent,) = receiver.bodies
    assert (sent["success"], sent["api"]) == (True, "image_transformation")
    assert sent["data"]["mime_type"] == "image/png"
    assert photos.decode(base64.b64decode(sent["data"]["buffer"])).size == (50, 40)


def test_an_error_is_sent_to_the_webhook(server, client):
    receiver = Receiver(server, f"/hook-failure-{type(client).__name__}")
    client.later(client.inline(b"this is text"), [{"type": "flip"}], receiver.url)
    assert receiver.accepted.wait(30)
    (sent,) = receiver.bodies
    assert (sent["success"], sent["api"]) == (False, "image_transformation")
    assert isinstance(sent["error"]["message"], str)


def test_a_failed_webhook_attempt_is_repeated(server, client):
    receiver = Receiver(server, f"/hook-twice-{type(client).__name__}", 500, 503)
    client.later(client.inline(photos.PORTRAIT), [{"type": "flip"}], receiver.url)
    assert receiver.accepted.wait(30)
    assert [sent["success"] for sent in receiver.bodies] == [True, True, True]
