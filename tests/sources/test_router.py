"""The source that an original comes from is picked by its name."""

import hashlib
from pathlib import Path

import pytest
from origin_server import Origin

from proxy.errors import InvalidSource, SourceForbidden, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import Original, SourceRef, Upload
from proxy.sources.config import SourceConfig
from proxy.sources.router import SourceRouter

pytestmark = pytest.mark.anyio

BODY = b"picture " * 100


async def test_each_name_has_its_source(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"from a file")
    origin.serve("/pictures/a%20%3F%C3%A9/b.jpg", b"from below a base")
    url = origin.serve("/a.jpg?x", b"from a URL")
    sources = SourceRouter.from_config(
        SourceConfig(
            allow_nets=("127.0.0.1",),
            aliases={"media": f"file://{tmp_path}", "shop": origin.url("/pictures/")},
        ),
        Limits(),
    )
    for reference, body in (
        (SourceRef("media:a.jpg"), b"from a file"),
        (SourceRef("shop:a ?é/b.jpg"), b"from below a base"),
        (SourceRef(url), b"from a URL"),
        (Upload(b"from the caller"), b"from the caller"),
    ):
        original = await sources.fetch(reference)
        assert isinstance(original, Original)
        assert original.body.read() == body
        assert original.digest == hashlib.sha256(body).hexdigest()
    await sources.close()


@pytest.mark.parametrize("text", ["", "*", "a.jpg", "MEDIA:a", "file:///etc/passwd", "x:y"])
async def test_an_unknown_name_is_told_with_the_known_ones(text: str) -> None:
    sources = SourceRouter.from_config(SourceConfig(aliases={"media": "file:///srv"}), Limits())
    with pytest.raises(InvalidSource, match="is none of the sources here: http, https, media"):
        await sources.fetch(SourceRef(text))
    await sources.close()


@pytest.mark.parametrize("path", ["../a.jpg", "/a.jpg", "a//b", "", "a/./b", ".a", "a/%2e%2e\n"])
async def test_nothing_leads_out_of_a_base(origin: Origin, path: str) -> None:
    settings = SourceConfig(allow_nets=("127.0.0.1",), aliases={"shop": origin.url("/pictures/")})
    sources = SourceRouter.from_config(settings, Limits())
    with pytest.raises(InvalidSource, match="path"):
        await sources.fetch(SourceRef(f"shop:{path}"))
    await sources.close()
    assert not origin.asked


async def test_neither_uploads_nor_headers_for_a_base(origin: Origin) -> None:
    settings = SourceConfig(allow_nets=("127.0.0.1",), aliases={"shop": origin.url("/")})
    sources = SourceRouter.from_config(settings, Limits())
    with pytest.raises(InvalidSource):
        await sources.fetch(SourceRef("shop:a.jpg", headers=(("x-key", "1"),)))
    await sources.close()


async def test_a_base_is_measured_by_the_policy_too(origin: Origin) -> None:
    origin.serve("/a.jpg", BODY)
    sources = SourceRouter.from_config(SourceConfig(aliases={"shop": origin.url("/")}), Limits())
    with pytest.raises(SourceForbidden):
        await sources.fetch(SourceRef("shop:a.jpg"))
    await sources.close()
    assert not origin.asked


async def test_an_upload_is_bounded() -> None:
    sources = SourceRouter.from_config(SourceConfig(), Limits(max_source_bytes=10))
    assert isinstance(await sources.fetch(Upload(bytes(10))), Original)
    with pytest.raises(SourceTooLarge, match="larger than 10 bytes"):
        await sources.fetch(Upload(bytes(11)))
    await sources.close()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"allow_nets": ("10.0.0.1/8",)}, "allow_nets: '10.0.0.1/8' is not a network"),
        ({"allow_hosts": ("*",)}, "allow_hosts: .* is not a host"),
        ({"ports": ("0",)}, "ports: '0' is not a port"),
        ({"named": {"Media": "file:///srv"}}, "named: 'Media' is not a name"),
        ({"named": {"https": "file:///srv"}}, "named: 'https' is not a name"),
        ({"named": {"media": "/srv"}}, "named: media: a source is written"),
        ({"named": {"media": "ftp://srv/"}}, "named: media: a source is written"),
        ({"named": {"media": "file://srv"}}, "named: media: a folder is written"),
        ({"named": {"shop": "https://a/b"}}, "named: shop: a base URL ends with a slash"),
        ({"named": {"shop": "https://a/?b/"}}, "named: shop: a base URL ends with a slash"),
        ({"named": {"shop": "https://u@a/"}}, "named: shop: .*user name"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SourceConfig(**settings)  # type: ignore[arg-type]
