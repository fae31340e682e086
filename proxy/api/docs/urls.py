"""URLs of the manual, and the policy of its pages."""

DOCS = "/docs"
STYLESHEET = f"{DOCS}/style.css"
SEARCH = f"{DOCS}/search"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

START = ""
"""The name of the first page, which is the README."""
