"""Several dialects on one server, each below its prefix."""

import pytest

from proxy.errors import ConfigError, InvalidLink, InvalidOperation, InvalidSignature
from proxy.image_request import ImageRequest
from proxy.links import DIALECTS
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.mounts import Mount, MountedDialects
from proxy.links.thumbor.config import ImagorConfig
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.originals import SourceRef

URL = "https://images.example/a.jpg"


class WidthDialect:
    """``/{width}/{host and path}``, such as ``/320/images.example/a.jpg``."""

    def __init__(self, context: DialectContext) -> None:
        self._context = context
        self.parsed: list[bytes] = []

    def parse(self, path: bytes) -> ImageRequest:
        self.parsed.append(path)
        _, width, source = path.decode().split("/", 2)
        return self._context.make_request(f"https://{source}", [f"resize:{width}"])

    def build(self, request: ImageRequest) -> str:
        raise InvalidLink("not needed here")


class SourceDialect:
    """``/{host and path}``: the original."""

    def __init__(self, context: DialectContext) -> None:
        del context

    def parse(self, path: bytes) -> ImageRequest:
        return ImageRequest(SourceRef(f"https:/{path.decode()}"))

    def build(self, request: ImageRequest) -> str:
        assert isinstance(request.source, SourceRef)
        return request.source.text.removeprefix("https:/")


def mounted(mounts: dict[str, str]) -> MountedDialects:
    return MountedDialects.from_config(
        LinksConfig(allow_unsigned=True, mounts=mounts),
        OperationRegistry(OPERATIONS),
        dialects={**DIALECTS, "width": WidthDialect, "source": SourceDialect},
    )


def test_the_first_segment_picks_the_dialect() -> None:
    dialects = mounted({"": "native", "w": "width", "original": "source"})
    resized = dialects.make_request(URL, ["resize:320"])
    assert dialects.parse(f"/_/resize:320/{URL}".encode()) == resized
    assert dialects.parse(b"/w/320/images.example/a.jpg").key == resized.key
    original = dialects.make_request(URL, [])
    assert dialects.parse(b"/original/images.example/a.jpg").key == original.key
    assert dialects.prefixes == {"w", "original"}


def test_a_request_knows_its_dialect() -> None:
    dialects = mounted({"": "native", "w": "width"})
    assert dialects.names == ("native", "width")
    native = dialects.parse(f"/_/tag:x/{URL}".encode()).response_options
    assert (native.dialect, native.tags) == ("native", ("tag:x",))
    width = dialects.parse(b"/w/320/images.example/a.jpg").response_options
    assert (width.dialect, width.tags) == ("width", ("dialect:width",))


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/insecure/rs:fit:300:200/plain/https://images.example/a.jpg", "imgproxy"),
        (
            b"/AfrOrF3gWeDA6VOlDG4TzxMv39O7MXnF4CXpKUwGqRM/el:t/g:no/aHR0cHM6Ly9leGFtcGxl",
            "imgproxy",
        ),
        (b"/_/resize:fill:300:400:0/plain/local:///a.jpg", "imgproxy"),
        (b"/unsafe/300x200/smart/images.example/a.jpg", "thumbor"),
        (b"/1234567890123456789012345_-=/fit-in/300x/images.example/a.jpg", "thumbor"),
        (b"/_ipx/w_300,f_webp/images.example/a.jpg", "ipx"),
    ],
)
def test_an_error_names_the_dialect_that_a_path_looks_like(path: bytes, dialect: str) -> None:
    with pytest.raises((InvalidLink, InvalidOperation, InvalidSignature)) as raised:
        mounted({"": "native"}).parse(path)
    assert f"it looks like the dialect {dialect}, which is not mounted" in str(raised.value)
    prefix = "_ipx" if dialect == "ipx" else ""
    assert f'FRAMEKEEP_LINKS_MOUNTS={{"{prefix}": "{dialect}"}}' in str(raised.value)


@pytest.mark.parametrize(
    "path",
    [
        f"/_x/resize:300:200/{URL}",
        f"/_x/crop:0:0:10:10/{URL}",
        f"/_x/preset:card/{URL}",
        f"/_x/dpr:2/resize:640/{URL}",
        "/_x/media:300x200/a",
    ],
)
def test_a_native_path_is_not_taken_for_another_dialect(path: str) -> None:
    with pytest.raises(InvalidSignature) as raised:
        mounted({"": "native"}).parse(path.encode())
    assert "looks like" not in str(raised.value)


def test_a_link_of_thumbor_belongs_to_imagor_where_only_that_is_mounted() -> None:
    dialects = MountedDialects.from_config(
        LinksConfig(allow_unsigned=True, mounts={"": "native", "old": "imagor"}),
        OperationRegistry(OPERATIONS),
        sections=[ImagorConfig(keys=("key",))],
    )
    with pytest.raises(InvalidSignature, match="whose links begin with /old/"):
        dialects.parse(b"/unsafe/300x200/images.example/a.jpg")
    with pytest.raises(InvalidSignature) as raised:
        dialects.parse(b"/old/unsafe/300x200/images.example/a.jpg")
    assert "looks like" not in str(raised.value)


def test_the_hint_names_the_prefix_where_the_dialect_is_mounted() -> None:
    dialects = MountedDialects.from_config(
        LinksConfig(allow_unsigned=True, mounts={"": "native", "old": "thumbor"}),
        OperationRegistry(OPERATIONS),
        dialects={**DIALECTS, "thumbor": SourceDialect},
    )
    with pytest.raises(InvalidSignature, match="dialect thumbor, whose links begin with /old/"):
        dialects.parse(b"/unsafe/300x200/images.example/a.jpg")
    assert dialects.describe() == "native at /, thumbor at /old/"


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        (b"/w/1/a%2Fb%2f//c?x=/w/", b"/1/a%2Fb%2f//c?x=/w/"),
        (b"/w/2/w/w", b"/2/w/w"),
        (b"/w?/3/a", b"?/3/a"),
    ],
)
def test_a_dialect_gets_the_raw_bytes_after_its_prefix(path: bytes, rest: bytes) -> None:
    context = DialectContext(OperationRegistry(OPERATIONS))
    dialect = WidthDialect(context)
    MountedDialects({"w": Mount("width", dialect)}, context).parse(path)
    assert dialect.parsed == [rest]


@pytest.mark.parametrize("path", [b"/W/1/a", b"//w/1/a", b"/%77/1/a", b"/w%2F1/a", b"/ww/1/a", b""])
def test_only_the_exact_prefix_picks_a_dialect(path: bytes) -> None:
    with pytest.raises(InvalidSignature):
        mounted({"": "native", "w": "width"}).parse(path)


def test_a_path_without_a_known_prefix_is_an_error_without_a_root() -> None:
    with pytest.raises(InvalidLink, match="links begin with /n/, /w/"):
        mounted({"w": "width", "n": "native"}).parse(b"/_/x")


def test_links_are_built_in_the_dialect_of_the_root_or_of_the_first_prefix() -> None:
    request = mounted({"": "native"}).make_request(URL, [])
    assert mounted({"w": "width", "": "native"}).build(request) == f"/_/{URL}"
    assert mounted({"s": "source", "w": "width"}).build(request) == "/s/images.example/a.jpg"
    # The native dialect has a link for every request.
    assert mounted({"": "source", "n": "native"}).build(request) == f"/n/_/{URL}"


def test_an_unknown_dialect_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"LINKS_MOUNTS: unknown dialect 'weserv'.*native, sour"):
        mounted({"": "weserv"})


def test_an_invalid_preset_is_an_error_that_names_the_setting() -> None:
    config = LinksConfig(presets={"a": "resize:0"})
    with pytest.raises(ConfigError, match="FRAMEKEEP_LINKS_PRESETS: preset 'a'"):
        MountedDialects.from_config(config, OperationRegistry(OPERATIONS))


def test_an_alias_that_the_grammar_needs_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"source alias 'resize' .*FRAMEKEEP_SOURCES_ALIASES"):
        MountedDialects.from_config(
            LinksConfig(), OperationRegistry(OPERATIONS), aliases=["resize"]
        )


@pytest.mark.parametrize("prefix", ["_", "__a", "a/b", "A", "/a", "a" * 17, "1", "ä", "a\n"])
def test_an_invalid_prefix_is_an_error(prefix: str) -> None:
    with pytest.raises(ValueError, match="mounts: invalid prefix"):
        LinksConfig(mounts={prefix: "native"})


def test_no_mount_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="mounts: no dialect is mounted"):
        LinksConfig(mounts={})
