"""The settings of the pages for people."""

from typing import Annotated

from msgspec import Meta, Struct


class PagesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Pages for people."""

    home: Annotated[
        bool,
        Meta(
            description=(
                "Serve a home page at `/` with version, state and links to the documentation. "
                "When false, the answer is 404."
            )
        ),
    ] = True
