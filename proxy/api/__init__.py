"""HTTP APIs. One file or folder is one API: an ASGI app."""
