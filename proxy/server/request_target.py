"""What an ASGI scope leaves out of a request target."""

EMPTY_QUERY = "framekeep.empty_query"
"""An ASGI extension of requests whose target ends with `?`: there is a query, and it is empty."""
