"""URL grammars: raw path to job, and job to path. A file with a class is a dialect."""

from typing import Protocol

from proxy.image_request import ImageRequest


class Dialect(Protocol):
    def parse(self, path: bytes) -> ImageRequest:
        """The job of a raw path with its query string; the signature is verified first.

        Raises a RequestError or LinkError naming what is wrong with it.
        """
        ...

    def build(self, request: ImageRequest) -> str:
        """The path that asks for the job; a dialect that cannot say it raises BadLink."""
        ...
