"""The scheme or alias of a reference picks its source."""

import hashlib
from pathlib import Path

import pytest
from origin_server import OriginServer

from proxy.buffers import SharedBuffer
from proxy.errors import ConfigError, InvalidSource, SourceForbidden, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, SourceRef, Upload, Validators
from proxy.sources import SOURCES
from proxy.sources.config import SourceConfig
from proxy.sources.paths import require_alias, split_path
from proxy.sources.router import SourceRouter
from proxy.sources.source import SourceContext

pytestmark = pytest.mark.anyio

BODY = b"picture " * 100


async def test_each_alias_has_its_source(origin: OriginServer, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"from a file")
    origin.serve("/pictures/a%20%3F%C3%A9/b.jpg", b"from below a base")
    url = origin.serve("/a.jpg?x", b"from a URL")
    router = SourceRouter.from_config(
        SourceConfig(
            allow_nets=("127.0.0.1",),
            aliases={"media": f"file://{tmp_path}", "shop": origin.url("/pictures/")},
        ),
        Limits(),
    )
    for ref, body in (
        (SourceRef("media:a.jpg"), b"from a file"),
        (SourceRef("shop:a ?é/b.jpg"), b"from below a base"),
        (SourceRef(url), b"from a URL"),
        (Upload.from_bytes(b"from the caller"), b"from the caller"),
    ):
        original = await router.fetch(ref)
        assert isinstance(original, Original)
        assert original.body.read() == body
        assert original.digest == hashlib.sha256(body).hexdigest()
    await router.close()


class EchoSource:
    """Originals whose bytes are their own path; a source from outside the package."""

    def __init__(self, context: SourceContext) -> None:
        if not context.location.startswith("echo://"):
            raise ValueError("an echo is written echo://")
        self._downloads = context.downloads
        self.closed = False
        context.exit_stack.push_async_callback(self.close)

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        body = SharedBuffer.from_bytes("/".join(split_path(require_alias(ref).path)).encode())
        self._downloads.check_size(body.size)
        return Original(body, body.digest)

    async def close(self) -> None:
        self.closed = True


async def test_a_source_from_outside_is_one_entry_in_the_registry() -> None:
    opened: list[EchoSource] = []

    def open_echo(context: SourceContext) -> EchoSource:
        opened.append(EchoSource(context))
        return opened[-1]

    config = SourceConfig(aliases={"one": "echo://", "two": "echo://", "media": "file:///srv"})
    router = SourceRouter.from_config(config, Limits(), sources={**SOURCES, "echo": open_echo})
    original = await router.fetch(SourceRef("two:a/b.jpg"))
    assert isinstance(original, Original)
    assert original.body.read() == b"a/b.jpg"
    with pytest.raises(InvalidSource, match="source path"):
        await router.fetch(SourceRef("one:../b.jpg"))
    await router.close()
    assert [source.closed for source in opened] == [True, True]


@pytest.mark.parametrize("text", ["", "*", "a.jpg", "MEDIA:a", "file:///etc/passwd", "x:y"])
async def test_an_unknown_alias_is_an_error_that_names_the_known_ones(text: str) -> None:
    router = SourceRouter.from_config(SourceConfig(aliases={"media": "file:///srv"}), Limits())
    with pytest.raises(InvalidSource, match="the sources are: http, https, media"):
        await router.fetch(SourceRef(text))
    await router.close()


@pytest.mark.parametrize("path", ["../a.jpg", "/a.jpg", "a//b", "", "a/./b", ".a", "a/%2e%2e\n"])
async def test_paths_out_of_a_base_url_are_invalid(origin: OriginServer, path: str) -> None:
    config = SourceConfig(allow_nets=("127.0.0.1",), aliases={"shop": origin.url("/pictures/")})
    router = SourceRouter.from_config(config, Limits())
    with pytest.raises(InvalidSource, match="path"):
        await router.fetch(SourceRef(f"shop:{path}"))
    await router.close()
    assert not origin.requests


async def test_a_base_url_takes_no_headers(origin: OriginServer) -> None:
    config = SourceConfig(allow_nets=("127.0.0.1",), aliases={"shop": origin.url("/")})
    router = SourceRouter.from_config(config, Limits())
    with pytest.raises(InvalidSource):
        await router.fetch(SourceRef("shop:a.jpg", headers=(("x-key", "1"),)))
    await router.close()


async def test_the_ssrf_policy_applies_to_a_base_url(origin: OriginServer) -> None:
    origin.serve("/a.jpg", BODY)
    router = SourceRouter.from_config(SourceConfig(aliases={"shop": origin.url("/")}), Limits())
    with pytest.raises(SourceForbidden):
        await router.fetch(SourceRef("shop:a.jpg"))
    await router.close()
    assert not origin.requests


async def test_the_size_of_an_upload_is_limited() -> None:
    router = SourceRouter.from_config(SourceConfig(), Limits(max_source_bytes=10))
    assert isinstance(await router.fetch(Upload.from_bytes(bytes(10))), Original)
    with pytest.raises(SourceTooLarge, match="larger than 10 bytes"):
        await router.fetch(Upload.from_bytes(bytes(11)))
    await router.close()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"allow_nets": ("10.0.0.1/8",)}, "allow_nets: '10.0.0.1/8' is not a network"),
        ({"allow_hosts": ("*",)}, "allow_hosts: .* is not a host"),
        ({"allow_ports": ("0",)}, "allow_ports: '0' is not a port"),
        ({"aliases": {"Media": "file:///srv"}}, "aliases: 'Media' is not a name"),
        ({"aliases": {"https": "file:///srv"}}, "aliases: 'https' is not a name"),
    ],
)
def test_invalid_settings_are_an_error(settings: dict[str, object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        SourceConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("/srv", "unknown scheme in '/srv'; .* is one of: az, file, gs, http, https, s3"),
        ("ftp://srv/", "unknown scheme in 'ftp://srv/'"),
        ("file://srv", "a folder is written"),
        ("https://a/b", "a base URL ends with a slash"),
        ("https://a/?b/", "a base URL ends with a slash"),
        ("https://u@a/", ".*user name"),
        ("s3://bucket?secret_access_key=x", "unknown bucket option"),
    ],
)
def test_an_invalid_location_is_an_error_that_names_the_alias(location: str, error: str) -> None:
    config = SourceConfig(aliases={"media": "file:///srv", "shop": location})
    with pytest.raises(ConfigError, match=f"^FRAMEKEEP_SOURCES_ALIASES: shop: {error}"):
        SourceRouter.from_config(config, Limits())


def test_all_invalid_locations_are_named() -> None:
    config = SourceConfig(aliases={"media": "/srv", "shop": "ftp://a/"})
    with pytest.raises(ConfigError, match=r"(?s)media: .*\n.*shop: "):
        SourceRouter.from_config(config, Limits())
