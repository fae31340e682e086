"""A request of `framekeep warm` that failed."""

from msgspec import Struct


class Failure(Struct, frozen=True):
    """A request that failed; a line of the file of failures.

    ``status`` is None where no response came, ``type`` where it was no problem+json.
    """

    url: str
    accept: str | None = None
    status: int | None = None
    type: str | None = None
    detail: str = ""

    @property
    def reason(self) -> str:
        """The failure in a word or two."""
        _, _, name = (self.type or "").rpartition("#problem-")
        if name and name != "about:blank":
            return name[:60]
        return "no response" if self.status is None else f"status {self.status}"
