"""Links that are built from steps keep presets by their names; `default` is for plain links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import Signer
from proxy.errors import InvalidLink
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

URL = "https://images.example/u/42.jpg"
KEY = "0f" * 16
PRESETS = {"card": "resize:400:300/convert:webp", "quiet": "debug"}


def context(**presets: str) -> DialectContext:
    config = LinksConfig((KEY,), allow_unsigned=True, presets={**PRESETS, **presets})
    return DialectContext(OperationRegistry(OPERATIONS), config)


def native(**presets: str) -> NativeDialect:
    return NativeDialect(context(**presets), now=lambda: 0.0)


def steps_of(link: str) -> str:
    return link.split("/", 2)[2].removesuffix(URL).rstrip("/")


def test_a_changed_preset_reaches_links_that_were_signed_before() -> None:
    link = native().build_link(URL, ["preset:card", "sharpen"])
    assert steps_of(link) == "preset:card/sharpen"
    before = native().parse(link.encode())
    after = native(card="resize:40").parse(link.encode())
    assert "preset:card" in before.response_options.tags
    assert before.plan != after.plan
    assert Signer("", [KEY], presets=PRESETS).url(URL, "preset:card", "sharpen") == link


STEPS = st.sampled_from(
    [
        *("preset:card", "sharpen", "resize:80:0060", "blur:2.0", "text:a b/c?", "tint:red"),
        *("tag:a", "v:1 2", "filename:ä.webp", "expires:253402300799", "attachment", "debug"),
    ]
)


@given(st.lists(STEPS, max_size=6, unique=True).filter(lambda steps: "resize:80:0060" not in steps))
def test_a_link_of_steps_means_what_the_steps_say(steps: list[str]) -> None:
    link = native().build_link(URL, steps)
    assert native().parse(link.encode()) == context().make_request(URL, steps)
    assert native().build_link(URL, steps_of(link).split("/") if steps else []) == link


def test_a_link_of_steps_is_refused_where_they_do_not_go_together() -> None:
    with pytest.raises(InvalidLink, match=r"preset:crad.*did you mean 'card'.*card, quiet"):
        native().build_link(URL, ["preset:crad"])
    with pytest.raises(InvalidLink, match="cannot be combined"):
        native().build_link(URL, ["info", "preset:card"])


@pytest.mark.parametrize(
    ("steps", "is_applied"),
    [
        ([], True),
        (["tag:a", "v:1"], True),
        (["sharpen"], False),
        (["preset:quiet"], False),
        (["preset"], False),
        (["info"], False),
    ],
)
def test_the_default_preset_is_for_links_without_operations(
    steps: list[str], is_applied: bool
) -> None:
    dialect = native(default="resize:40/convert:webp")
    request = dialect.parse(dialect.build_link(URL, steps).encode())
    assert ("preset:default" in request.response_options.tags) is is_applied
    assert (len(request.plan.operations) == 2) is is_applied


def test_a_request_without_operations_has_a_link_beside_a_default_preset() -> None:
    request = native().parse(native().build_link(URL, []).encode())
    dialect = native(default="resize:40")
    link = dialect.build(request)
    assert steps_of(link) == "preset"
    assert dialect.parse(link.encode()) == request
