"""What the steps of a link request, before its open fields are filled."""

from msgspec import Struct, field

from proxy.errors import InvalidLink
from proxy.image_request import ImageRequest, InfoRequest, ResponseOptions
from proxy.links.open_fields import OpenField
from proxy.links.rules import OpenOperation
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.originals import SourceRef


class ParsedLink(Struct):
    """What the steps of a link request, all but the source."""

    operations: list[Operation | OpenOperation] = field(default_factory=list)
    open_fields: list[OpenField] = field(default_factory=list)
    """In the order in which a choice has values for them."""
    dpr: float | None = None
    open_dpr: int | None = None
    """Which of the open fields is that of ``dpr``."""
    round_up: bool = False
    version: str = ""
    expires: int | None = None
    filename: str = ""
    tags: list[str] = field(default_factory=list)
    info: InfoRequest | None = None
    debug: bool = False
    fallback: str = ""
    attachment: bool = False
    written: list[str] = field(default_factory=list)
    """The names of the operations and options of the link itself, without those of presets."""
    preset: str | None = None
    """The last preset that was named; empty where the link asks for none."""

    @property
    def plan(self) -> Plan:
        """The operations, of which none is open."""
        return Plan(tuple(one for one in self.operations if isinstance(one, Operation)))

    @property
    def response_options(self) -> ResponseOptions:
        return ResponseOptions(
            self.expires,
            self.filename,
            tuple(dict.fromkeys(self.tags)),
            self.debug,
            self.fallback,
            is_attachment=self.attachment,
        )

    def to_request(self, source: str) -> ImageRequest:
        """Make the request for a source, of a link without open fields.

        Raises InvalidLink where ``info`` has operations or a fallback.
        """
        if self.info is not None and self.operations:
            raise InvalidLink(
                "info: describes the original, so it cannot be combined with operations"
            )
        if self.info is not None and self.fallback:
            raise InvalidLink("info: describes the original, so it cannot have a fallback image")
        source_ref = SourceRef(source, self.version)
        return ImageRequest(source_ref, self.plan, self.response_options, self.info)
