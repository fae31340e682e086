"""Undo what CDNs and proxies make of a signed path.

A signature covers the exact bytes that were signed. Some CDNs and proxies write the same path in
other bytes: they merge slashes, escape ``:``, or change the case of escapes. Each repair takes back
one such rewriting. Whatever a repair returns must be verified before it is used: it is a guess.

Two rewritings cannot be taken back, because the path does not say which characters they touched:
an escape that was decoded (``%2F`` to ``/``), and ``:`` that was escaped in a path which already
had a ``%3A`` of its own, unless the cases of the escapes differ.
"""

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

_MERGED_SLASHES = re.compile(rb"(/https?:/)(/?)", re.IGNORECASE)
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_SEPARATOR = re.compile(rb"%(?:3A|2F)", re.IGNORECASE)
_BRACE = re.compile(rb"%7[BD]", re.IGNORECASE)
_LOWER_CASE_SEPARATOR = re.compile(rb"%(?:3a|2f)")
# What a path or query may have unescaped (RFC 3986 section 3.3); nobody escapes letters and digits.
_PUNCTUATION = re.compile(
    b"|".join(b"%%%02X" % byte for byte in b"-._~:/?@!$&'()*+,;="), re.IGNORECASE
)
_ALL_BUT_LETTERS_AND_DIGITS = re.compile(
    rb"%(?!3[0-9]|[46][1-9A-F]|[57][0-9A])[2-9A-F][0-9A-F]", re.IGNORECASE
)


def restore_merged_slashes(path: bytes) -> bytes:
    """Restore the ``//`` of the source's ``http(s)://`` where a proxy merged it into one slash."""
    first = _MERGED_SLASHES.search(path)
    if first is None or first[2]:
        return path
    return path[: first.end()] + b"/" + path[first.end() :]


def repaired_paths(path: bytes) -> Iterator[bytes]:
    """Yield what the path may have been before it was rewritten: a few guesses."""
    tried = {path}
    for repair in _REPAIRS:
        repaired = restore_merged_slashes(repair(path))
        if repaired not in tried:
            tried.add(repaired)
            yield repaired


def _decode(escapes: re.Pattern[bytes], path: bytes) -> bytes:
    return escapes.sub(lambda found: unquote_to_bytes(found[0]), path)


def _decode_separators(path: bytes) -> bytes:
    return _decode(_SEPARATOR, path)


def _decode_separators_of_steps(path: bytes) -> bytes:
    """Leave the last segment, which may be a source that was escaped before it was signed."""
    steps, slash, source = path.rpartition(b"/")
    return _decode_separators(steps) + slash + source


def _upper_case(path: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: found[0].upper(), path)


def _lower_case(path: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: found[0].lower(), path)


_REPAIRS: tuple[Callable[[bytes], bytes], ...] = (
    lambda path: path,  # only slashes were merged
    _decode_separators,
    lambda path: _decode(_LOWER_CASE_SEPARATOR, path),
    _decode_separators_of_steps,
    lambda path: _decode(_PUNCTUATION, path),
    # The whole path was escaped once more, or was signed with spaces or letters outside of ASCII.
    lambda path: _decode(_ALL_BUT_LETTERS_AND_DIGITS, path),
    # Browsers escape the braces of open fields; some proxies take the escapes away.
    lambda path: _decode(_BRACE, path),
    lambda path: path.replace(b"{", b"%7B").replace(b"}", b"%7D"),
    _upper_case,
    _lower_case,
    lambda path: _upper_case(_decode_separators(path)),
    lambda path: path.replace(b"+", b"%20"),
    lambda path: path.replace(b"%20", b"+"),
)
"""The likeliest first. Each costs a bad signature one more HMAC."""
