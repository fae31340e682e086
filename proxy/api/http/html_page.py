"""A small HTML page that loads nothing, runs no script, and follows light and dark mode."""

from base64 import b64encode
from hashlib import sha256
from html import escape

HTML = "text/html; charset=utf-8"

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --mark: #b3261e; --link: #0b57d0 }
@media (prefers-color-scheme: dark) { :root { --mark: #ff8a80; --link: #8ab4f8 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 2rem 1rem }
h1 { font-size: 1.6rem; line-height: 1.25 }
a { color: var(--link) }
code, pre { font: .9em/1.5 ui-monospace, monospace }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line);
  border-radius: .4rem; padding: .8rem }
mark { background: none; color: var(--mark); font-weight: 700; text-decoration: underline wavy }
dt { color: GrayText } dd { margin: 0 0 .6rem; overflow-wrap: anywhere }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .5rem 1.5rem }
"""

_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; img-src 'self'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def html_page(title: str, body: str) -> bytes:
    """Build the page; ``title`` is text, ``body`` is HTML. Send it with the policy above."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    ).encode()
