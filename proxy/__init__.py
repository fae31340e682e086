"""An on-the-fly image origin: a link in, the right picture out.

``Link`` signs links and ``Framekeep`` renders in the process itself.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.library import Framekeep as Framekeep
    from proxy.library import Link as Link

__all__ = ["Framekeep", "Link"]


def __getattr__(name: str) -> Any:
    """Both come with libvips, which whoever imports one small module does not need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from proxy import library  # noqa: PLC0415 - only when asked for

    return getattr(library, name)
