"""Inputs that a target begins with."""

from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files


def seeds(target: str) -> Iterator[bytes]:
    """Inputs to begin with."""
    match target:
        case "probe":
            import pyvips

            small = pyvips.Image.thumbnail_buffer(
                (files("proxy") / "data" / "demo" / "beach.jpg").read_bytes(), 16
            )
            for suffix in (".jpg", ".png", ".gif", ".webp", ".tif", ".avif", ".heic", ".jxl"):
                with suppress(pyvips.Error):
                    yield small.write_to_buffer(suffix)
            yield b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
            yield b"BM" + bytes(60)
            yield b"\0\0\1\0\1\0" + bytes(40)
        case "links":
            yield b"_/resize:100:80:cover/convert:webp:80/https://a.example/b.jpg"
            yield b"_/smart_crop:10:10/text:hi:12:%23fff/aHR0cHM6Ly9hL2I"
            yield b"imgproxy/insecure/rs:fit:300:400:0/g:no/plain/https://a.example/b.jpg@webp"
            yield b"thumbor/unsafe/fit-in/300x200/smart/filters:quality(80):rotate(90)/a.example/b"
            yield b"ipx/w_300,f_webp/https://a.example/b.jpg"
        case "urls":
            yield b"https://user:pass@a.example:8080/b%20c?d=e#f"
            yield b"http://[::1%25eth0]:80/"
        case "multipart":
            yield (
                b"multipart/form-data; boundary=b\n--b\r\nContent-Disposition: form-data; "
                b'name="img"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--b--\r\n'
            )
        case "headers":
            yield b'image/avif,image/webp;q=0.8,*/*;q=0.1, W/"tag", "other"'
            yield b"max-age=60, stale-while-revalidate=30, private"
            yield b"bytes=0-9, -5"
        case "json":
            yield (
                b'{"file":{"type":"url","name":"a","url":"https://a/b"},"operations":'
                b'[{"type":"resize","width_in_px":10,"height_in_px":10,"fit":"cover"}]}'
            )
        case "ipc":
            yield b"\0\0\0\4test"
        case _:
            yield b"\0\0\0\0"
