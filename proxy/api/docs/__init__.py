"""The documentation API: the manual under ``/docs``, and ``/openapi.json``."""
