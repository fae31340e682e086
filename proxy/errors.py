"""What can go wrong, in words of the domain.

The tree follows who must act: the caller, the one who signs, the origin, or we. ``str(error)`` is
fit for a stranger; ``detail`` is for the log alone. How a failure looks on a wire is decided by the
faces, never here.

    ProxyError
    ├─ RequestError     BadPlan · BadLink · BadSource · BadUpload ·
    │                   BadPurge                                       the caller
    ├─ LinkError        BadSignature · LinkExpired                       the one who signs
    ├─ SourceError      SourceForbidden · SourceNotFound · SourceTooLarge ·
    │                   SourceTimedOut · SourceFailed (SourceRefused)    the origin
    ├─ ImageError       NotAnImage · BrokenImage · ImageTooLarge · ImageTooSmall · Impossible
    └─ CapacityError    Overloaded · TookTooLong · RenderFailed ·
                        StoreUnavailable                               us
"""

import re


class ConfigError(Exception):
    """The settings cannot be used; one complaint a line, each naming its variable."""


class ProxyError(Exception):
    """Something asked for could not be done."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class RequestError(ProxyError):
    """The caller asked for something that makes no sense."""


class BadLink(RequestError):
    """The link does not follow the grammar. It was signed, or needs no signature."""


class BadPlan(RequestError):
    """An operation, a parameter or their number is wrong.

    ``operation`` is the position in the plan, from 0, ``field`` the parameter's name, where known.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: int | None = None,
        field: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message, detail=detail)
        self.operation = operation
        self.field = field


class BadSource(RequestError):
    """The source is not written as any source is."""


class BadUpload(RequestError):
    """The uploaded body cannot be taken as a picture's bytes."""


class BadPurge(RequestError):
    """What is to be purged is not said, or not so that it can be understood."""


class LinkError(ProxyError):
    """The link itself is at fault."""


class BadSignature(LinkError):
    """The link is not signed, or was changed after signing."""


class LinkExpired(LinkError):
    """The link was good until a moment that has passed."""


class SourceError(ProxyError):
    """The original could not be had."""


class SourceForbidden(SourceError):
    """Policy does not let us ask this source."""


class SourceNotFound(SourceError):
    """The source says there is nothing there."""


class SourceTooLarge(SourceError):
    """The original has more bytes than allowed."""


class SourceTimedOut(SourceError):
    """The source was too slow."""


class SourceFailed(SourceError):
    """The source answered with an error, broke off, or could not be reached.

    ``transient`` where it may well be over in a moment, so that another try makes sense.
    """

    def __init__(self, message: str, *, transient: bool = False, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.transient = transient


class SourceRefused(SourceFailed):
    """The source answered that we may not have it: an answer, not a failure that passes."""


class ImageError(ProxyError):
    """The bytes are there, but no rendition can be made of them."""


class NotAnImage(ImageError):
    """The bytes are no picture of a format that is taken here."""


class BrokenImage(ImageError):
    """The picture is damaged or cut short."""


class ImageTooLarge(ImageError):
    """The picture, or what would become of it, has too many pixels or frames."""


class ImageTooSmall(ImageError):
    """The picture is too small for what was asked."""


class Impossible(ImageError):
    """A well-formed operation cannot be done on this picture."""


class CapacityError(ProxyError):
    """It could have been done, but not by us, not now."""


class Overloaded(CapacityError):
    """Too much is waiting already. ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: int = 1, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class TookTooLong(CapacityError):
    """The work was given up at its deadline."""


class RenderFailed(CapacityError):
    """The process that rendered died, more than once."""


class StoreUnavailable(CapacityError):
    """What is kept could not be changed as it must be; a purge is not done until it is."""


def name_of(kind: type[ProxyError]) -> str:
    """The failure's name on wires and in metrics: ``source-too-large`` for SourceTooLarge."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
