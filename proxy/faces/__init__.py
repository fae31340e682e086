"""HTTP APIs. A file here is a face: an ASGI app that turns its wire into a job and back."""
