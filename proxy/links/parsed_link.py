"""What the steps of a link request, before its open fields are filled."""

from collections.abc import Sequence

from msgspec import Struct, field

from proxy.errors import InvalidLink
from proxy.image_request import ImageRequest, InfoRequest, ResponseOptions
from proxy.links.hint_rule import HintRule
from proxy.links.open_fields import AUTO, OpenField
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
    save_data: bool = False
    hint_rule: HintRule | None = None
    """Where client hints chose: how."""
    hint_choice: str = ""
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
            hint_rule=self.hint_rule,
            hint_choice=self.hint_choice,
        )

    def hint_rule_for(self, values: Sequence[str]) -> HintRule | None:
        """How client hints choose where these values of the open fields leave it to them."""
        fields = tuple(self.open_fields)
        if not any(field.hint and text == AUTO for field, text in zip(fields, values, strict=True)):
            return None
        return HintRule(fields, tuple(values), self.dpr or 1.0, self.open_dpr, self.save_data)

    def add_preset(self, name: str, preset: "ParsedLink") -> None:
        """Add what a preset stands for. Raises InvalidLink for an option that is given twice."""
        if preset.expires is not None:
            require_first("expires", self.expires is None)
            self.expires = preset.expires
        if preset.version:
            require_first("v", not self.version)
            self.version = preset.version
        if preset.filename:
            require_first("filename", not self.filename)
            self.filename = preset.filename
        if preset.fallback:
            require_first("fallback", not self.fallback)
            self.fallback = preset.fallback
        if preset.dpr is not None or preset.open_dpr is not None:
            require_first("dpr", self.dpr is None and self.open_dpr is None)
            self.dpr = preset.dpr
        if preset.open_dpr is not None:
            self.open_dpr = len(self.open_fields) + preset.open_dpr
        self.open_fields += preset.open_fields
        self.round_up |= preset.round_up
        self.save_data |= preset.save_data
        self.debug |= preset.debug
        self.attachment |= preset.attachment
        self.operations += preset.operations
        self.tags += [f"preset:{name}", *preset.tags]

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


def require_first(name: str, is_first: bool) -> None:
    """Raise InvalidLink for an option that was given before."""
    if not is_first:
        raise InvalidLink(f"{name} is given twice")
