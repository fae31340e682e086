"""Errors by who must act: the caller, the signer, the origin, the image, or the server.

``str(error)`` is safe to show to an unauthenticated client; ``detail`` is for the log only. Each
API maps these classes to its own status codes and bodies (`proxy.api.http.problems` for
problem+json).

    NamedError          has a name for reports and logs, and each of these a status in every API:
    └─ ProxyError
    ├─ RequestError     InvalidOperation · InvalidLink · InvalidSource · InvalidUpload ·
    │                   InvalidPurge                                       the caller
    ├─ LinkError        InvalidSignature · LinkExpired                       the signer
    ├─ SourceError      SourceForbidden · SourceNotFound · SourceTooLarge ·
    │                   SourceTimedOut · SourceFailed (SourceDenied,
    │                   SourceUnavailable, SourceRateLimited)                the origin
    ├─ ImageError       NotAnImage · BrokenImage · ImageTooLarge · ImageTooSmall ·
    │                   OperationNotApplicable                               the image
    └─ CapacityError    Overloaded · DeadlineExceeded ·
                        RenderFailed (OriginalChanged) · StoreUnavailable    the server

    ConfigError         the settings cannot be used                          the operator
"""

import errno
from typing import ClassVar


class ConfigError(Exception):
    """The settings cannot be used; one sentence per line, each names its variable."""


class NamedError(Exception):
    """``problem_type`` names the error on every wire, in reports, the access log and metrics."""

    problem_type: ClassVar[str] = "error"

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class ProxyError(NamedError):
    """The request failed. Each API has a status for it."""

    problem_type: ClassVar[str] = "proxy-error"


class RequestError(ProxyError):
    """The request makes no sense.

    ``segment`` is the part of the link that is wrong, as it was sent, where known.
    """

    problem_type = "request-error"
    segment: str = ""


class InvalidLink(RequestError):
    """The link does not follow the grammar. It was signed, or needs no signature."""

    problem_type = "bad-link"


class InvalidOperation(RequestError):
    """An operation, one of its fields, or the number of operations is wrong.

    ``operation`` is the position in the plan, from 0, ``field`` the field's name, where known.
    """

    problem_type = "bad-plan"

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


class InvalidSource(RequestError):
    """The source is not written as a source must be."""

    problem_type = "bad-source"


class InvalidUpload(RequestError):
    """The uploaded body cannot be read as an image file."""

    problem_type = "bad-upload"


class InvalidPurge(RequestError):
    """The purge request does not clearly name what to purge."""

    problem_type = "bad-purge"


class LinkError(ProxyError):
    """The link is well formed, but must not be served."""

    problem_type = "link-error"


class InvalidSignature(LinkError):
    """The link is not signed, or was changed after it was signed."""

    problem_type = "bad-signature"


class LinkExpired(LinkError):
    """The link's ``expires`` time has passed."""

    problem_type = "link-expired"


class SourceError(ProxyError):
    """The original could not be fetched. ``source`` is the text of its source, where known."""

    problem_type = "source-error"
    source: str = ""


class SourceForbidden(SourceError):
    """The source policy does not allow this source."""

    problem_type = "source-forbidden"


class SourceNotFound(SourceError):
    """The source has no such original."""

    problem_type = "source-not-found"


class SourceTooLarge(SourceError):
    """The original has more bytes than allowed."""

    problem_type = "source-too-large"


class SourceTimedOut(SourceError):
    """The source did not answer in time."""

    problem_type = "source-timed-out"


class SourceFailed(SourceError):
    """The source answered with an error, broke off, or could not be reached.

    ``transient``: a retry may succeed.
    """

    problem_type = "source-failed"

    def __init__(self, message: str, *, transient: bool = False, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.transient = transient


class SourceDenied(SourceFailed):
    """The source denied access. This is an answer; a retry or a stale copy does not help."""

    problem_type = "source-refused"


class SourceUnavailable(SourceFailed):
    """The source does not answer for some time, as it said itself. ``retry_after`` is in seconds.

    ``server`` is the host and port that said so.
    """

    problem_type = "source-unavailable"

    def __init__(
        self, message: str, *, retry_after: int = 1, server: str = "", detail: str = ""
    ) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after
        self.server = server


class SourceRateLimited(SourceUnavailable):
    """The source gets too many requests from here."""

    problem_type = "source-rate-limited"


class ImageError(ProxyError):
    """The bytes arrived, but no rendition can be made of them.

    ``source`` is the text of their source, where known.
    """

    problem_type = "image-error"
    source: str = ""


class NotAnImage(ImageError):
    """The bytes are not an image in an allowed format."""

    problem_type = "not-an-image"


class BrokenImage(ImageError):
    """The image is damaged or truncated."""

    problem_type = "broken-image"


class ImageTooLarge(ImageError):
    """The image, or the result, has too many pixels or frames."""

    problem_type = "image-too-large"


class ImageTooSmall(ImageError):
    """The image is too small for the request."""

    problem_type = "image-too-small"


class OperationNotApplicable(ImageError):
    """A well-formed operation cannot be applied to this image."""

    problem_type = "impossible"


class CapacityError(ProxyError):
    """The server cannot do this now."""

    problem_type = "capacity-error"


class Overloaded(CapacityError):
    """Too many requests are waiting. ``retry_after`` is in seconds."""

    problem_type = "overloaded"

    def __init__(self, message: str, *, retry_after: int = 1, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


def faulty_segment(error: BaseException | None) -> str:
    """Return the part of the link that this error, or one that led to it, names; or ""."""
    while error is not None:
        if isinstance(error, RequestError) and error.segment:
            return error.segment
        error = error.__cause__
    return ""


def lacks_descriptors(error: BaseException | None) -> bool:
    """Return whether this error, or one that led to it, is a lack of file descriptors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
            return True
        error = error.__cause__ or error.__context__
    return False


def no_descriptors(error: BaseException) -> Overloaded:
    """Make the error for a request that found no free file descriptor."""
    return Overloaded("too many files and connections are open", retry_after=5, detail=f"{error!r}")


class DeadlineExceeded(CapacityError):
    """The work was stopped at its deadline."""

    problem_type = "took-too-long"


class RenderFailed(CapacityError):
    """The render process died, also on the retry."""

    problem_type = "render-failed"


class OriginalChanged(RenderFailed):
    """The file of a cached original was cut or extended while it was used; read it again."""

    def __init__(self, message: str = "", *, detail: str = "") -> None:
        super().__init__(message or "the cached original was changed while in use", detail=detail)


class StoreUnavailable(CapacityError):
    """The cache could not be changed as it must be; a purge is not done until it is."""

    problem_type = "store-unavailable"
