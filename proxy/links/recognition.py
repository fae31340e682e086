"""Recognize the grammar of a URL, for the hint in an error; nothing is parsed by it."""

import re

_PATTERNS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    # /SIGNATURE/rs:fit:300:200/…/plain/https://…, or /SIGNATURE/w:300/BASE64. Names that are also
    # operations or options of native links tell nothing.
    (
        "imgproxy",
        re.compile(
            rb"/[A-Za-z0-9_=-]+/"
            rb"(?:(?:rs|s|size|w|width|h|height|rt|resizing_type|g|gravity|pr|q|f|format|ext|el"
            rb"|enlarge|c|cb|exp|bg|bl|sh|wm)(?::|%3A)|resize:(?:fit|fill|fill-down|force|auto):"
            rb"|plain/https?:|aHR0c[A-Za-z0-9_-]{8})"
        ),
    ),
    # /unsafe/300x200/…, or /SIGNATURE/fit-in/…, whose signature is SHA-1 with its padding
    (
        "thumbor",
        re.compile(
            rb"/(?:unsafe|[A-Za-z0-9_-]{27}(?:=|%3D))/"
            rb"(?:meta/|trim|[0-9]+x[0-9]+:|(?:adaptive-)?(?:full-)?fit-in/|-?[0-9]*x-?[0-9]*/"
            rb"|smart/|filters:|https?(?::|%3A))"
        ),
    ),
    # /_ipx/w_300,f_webp/…, or /s_300x200/…
    (
        "ipx",
        re.compile(
            rb"/_ipx/|/(?:w|width|h|height|s|resize|f|format|q|quality|fit|pos|position|b|background"
            rb"|enlarge|animated)_[A-Za-z0-9]{1,30}[,&/]"
        ),
    ),
)
_USUAL_PREFIXES = {"ipx": "_ipx"}
_GRAMMARS = {"imagor": "thumbor"}
_MAX_BYTES = 512


def recognize(path: bytes) -> str:
    """The name of the foreign dialect that a path looks like, without its mount; empty if none."""
    head = path[:_MAX_BYTES]
    return next((name for name, pattern in _PATTERNS if pattern.match(head)), "")


def find_usual_prefix(name: str, path: bytes) -> str:
    """The prefix that a recognized path has from the dialect's own server, such as ``_ipx``."""
    prefix = _USUAL_PREFIXES.get(name, "")
    return prefix if path.startswith(b"/%b/" % prefix.encode()) else ""


def has_grammar(name: str, recognized: str) -> bool:
    """Whether the dialect of this name has the grammar of the recognized one."""
    return recognized in (name, _GRAMMARS.get(name))
