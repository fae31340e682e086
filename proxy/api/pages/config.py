"""The settings of the pages for people."""

from collections.abc import Collection
from typing import Annotated, Literal

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

    playground: Annotated[
        Literal["off", "admin", "open"],
        Meta(
            description=(
                "Who may use `/playground`. `admin`: holders of a key of `FRAMEKEEP_ADMIN_KEYS`. "
                "`open`: everybody, but links are signed for holders of such a key only. "
                "`framekeep serve --dev` sets `open`."
            )
        ),
    ] = "admin"

    def has_playground(self, admin_keys: Collection[str]) -> bool:
        """Whether somebody may use it, with these keys of the admin API."""
        return self.playground == "open" or (self.playground == "admin" and bool(admin_keys))
