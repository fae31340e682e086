"""The native link: ``/{signature}/{step}/{step}/…/{source}``.

Rules, in the order in which they are kept:

1. A link has a bounded length.
2. A source written ``https:/x``, as proxies that merge slashes leave it, is ``https://x`` again.
3. The signature is checked on the raw bytes of all that follows it. Nobody unsigned gets further.
4. Steps are divided at ``/``, ``:`` and ``=`` first and percent-decoded then, so that a value may
   hold anything. The source is the rest of the link from the first segment that is no step.
5. What is wrong is refused with the segment, the reason and the bound.
"""

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, field

from proxy.errors import InvalidLink, InvalidOperation, InvalidSignature, InvalidSource, LinkExpired
from proxy.image_request import ImageRequest, InfoRequest
from proxy.links.parser import LINK_OPTIONS, StepParser, ParsedLink
from proxy.links.percent_encoding import safe_excerpt
from proxy.links.signing import Keyring
from proxy.links.source_encoding import SourceEncoder, restore_merged_slashes
from proxy.operations.plan import OperationRegistry, Plan, written
from proxy.originals import SourceRef
from proxy.validation import Discreet

_SIGNATURE = re.compile(rb"[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43}")

HexKey = Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2}){16,128}$")]


class LinksConfig(Discreet, frozen=True, forbid_unknown_fields=True):
    """How links are signed, and what they may call on."""

    keys: Annotated[tuple[HexKey, ...], Meta(extra_json_schema={"writeOnly": True})] = ()
    """Signing keys in hexadecimal, 16 to 128 bytes each; the first signs, any verifies."""

    allow_unsigned: bool = False
    """Whether links with ``_`` in place of the signature are accepted."""

    presets: dict[str, str] = field(default_factory=dict)
    """Steps by name, ``{"card": "resize:400:300/convert:webp"}``; links say ``preset:card``."""


class NativeDialect:
    """Reads links and writes them."""

    def __init__(
        self,
        catalogue: OperationRegistry,
        keyring: Keyring,
        *,
        sources: Collection[str] = (),
        presets: Mapping[str, str] | None = None,
        allow_unsigned: bool = False,
        path_bytes: int = 8192,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``sources`` are the names of configured sources; ``presets`` are steps by name.

        Raises ValueError where a name means two things, or a preset is wrong or holds itself.
        """
        taken = {*LINK_OPTIONS, *catalogue.operations, "b64", "http", "https", "upload"}
        for name in sources:
            if name in taken:
                raise ValueError(f"a source cannot be named {name!r}: links use that word")
        self._sources = SourceEncoder(sources)
        self._keyring = keyring
        self._allow_unsigned = allow_unsigned
        self._path_bytes = path_bytes
        self._now = now
        self._steps = StepParser(catalogue, presets or {})

    def parse(self, path: bytes) -> ImageRequest:
        """The job that a raw path, with its query string if it has one, asks for.

        Raises:
            BadLink, BadPlan, BadSource: naming the segment, the reason and the bound.
            BadSignature: before anything of the above is looked at, but for the length.
            LinkExpired: the link was good until a moment that has passed.
        """
        if len(path) > self._path_bytes:
            raise InvalidLink(f"a link has at most {self._path_bytes} bytes, not {len(path)}")
        signed = restore_merged_slashes(path)
        self._verify(signed)
        try:
            text = signed.decode()
        except UnicodeDecodeError:
            raise InvalidLink("the link is not UTF-8; percent-encode what is not ASCII") from None
        wish, address = self._parse(text)
        if wish.expires is not None and self._now() >= wish.expires:
            raise LinkExpired(f"the link was good until {_format_time(wish.expires)}")
        return _image_request(address, wish)

    def make_request(self, source: str, steps: Sequence[str]) -> ImageRequest:
        """The job of a source, ``https://…`` or ``NAME:path``, and steps as links have them.

        Raises BadLink, BadPlan or BadSource, naming the step.
        """
        wish = self._wish(steps)
        return _image_request(self._sources.normalize(source), wish)

    def parse_plan(self, steps: Sequence[str]) -> Plan:
        """The plan of steps as links have them. Raises BadLink or BadPlan, naming the step."""
        return Plan(tuple(self._wish(steps).operations))

    def build(self, request: ImageRequest) -> str:
        """The link, signed by the newest key; unsigned where there are no keys.

        Presets are written as the steps that they stand for. Raises BadSource for an upload.
        """
        if not isinstance(request.source, SourceRef):
            raise InvalidSource("an upload has no link")
        delivery = request.response_options
        steps = [
            *([f"v:{quote(request.source.version, safe='')}"] if request.source.version else ()),
            *([f"expires:{delivery.expires}"] if delivery.expires is not None else ()),
            *([f"filename:{quote(delivery.filename, safe='')}"] if delivery.filename else ()),
            *(
                f"tag:{quote(label.removeprefix('tag:'), safe='')}"
                for label in delivery.tags
                if label.startswith("tag:")
            ),
            *(["debug"] if delivery.debug else ()),
            *([_format_info(request.info)] if request.info is not None else ()),
            *(written(operation) for operation in request.plan),
        ]
        rest = "/" + "/".join((*steps, self._sources.encode(request.source.text)))
        signature = self._keyring.sign(rest.encode()) if len(self._keyring) else "_"
        return f"/{signature}{rest}"

    def _verify(self, path: bytes) -> None:
        end = path.find(b"/", 1)
        signature = path[1:end] if end > 0 else path[1:]
        rest = path[end:] if end > 0 else b""
        if signature == b"_":
            if not self._allow_unsigned:
                raise InvalidSignature("unsigned links are not accepted here")
        elif not _SIGNATURE.fullmatch(signature):
            raise InvalidSignature(
                "the signature segment is missing: a link is /{signature}/{step}/…/{source}"
            )
        elif not self._keyring.verify(signature, rest):
            raise InvalidSignature(
                "the signature is wrong: the link was not signed here, or changed"
            )

    def _parse(self, path: str) -> tuple[ParsedLink, str]:
        wish = ParsedLink()
        start = path.find("/", 1) + 1
        number = 2
        while 0 < start < len(path):
            end = path.find("/", start)
            segment = path[start:] if end < 0 else path[start:end]
            with _error_location(f"segment {number}", segment, wish):
                if address := self._sources.decode(segment, path[start:]):
                    return wish, address
                self._steps.parse_step(wish, segment)
            start = end + 1
            number += 1
        raise InvalidLink(f"segment {number}: the source is missing; it stands last in a link")

    def _wish(self, steps: Sequence[str]) -> ParsedLink:
        wish = ParsedLink()
        for number, step in enumerate(steps, 1):
            with _error_location(f"step {number}", step, wish):
                self._steps.parse_step(wish, step)
        return wish


def _image_request(address: str, wish: ParsedLink) -> ImageRequest:
    """What the wish asks for; a question is no picture, and the other way round."""
    if wish.info is not None and wish.operations:
        raise InvalidLink("info asks about the original itself: it stands without operations")
    plan = Plan(tuple(wish.operations))
    return ImageRequest(SourceRef(address, wish.version), plan, wish.response_options, wish.info)


def _format_info(inquiry: InfoRequest) -> str:
    return ":".join(("info", *map(str, inquiry.aspect_ratios)))


@contextmanager
def _error_location(place: str, segment: str, wish: ParsedLink) -> Iterator[None]:
    """What is refused inside says where in the link it stands."""
    try:
        yield
    except InvalidOperation as error:
        raise InvalidOperation(
            f"{place} ({safe_excerpt(segment)}): {error}",
            operation=len(wish.operations),
            field=error.field,
        ) from error
    except (InvalidLink, InvalidSource) as error:
        raise type(error)(f"{place} ({safe_excerpt(segment)}): {error}") from error


def _format_time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
