"""Private API of other libraries: one module per library, and used nowhere else.

Each module checks at import what it relies on, so that an unsuitable version of a library is one
sentence at the start and not a strange error later. `pyproject.toml` gives these libraries upper
bounds, and `framekeep doctor` compares the installed versions with them.
"""

from collections.abc import Iterable, Mapping
from typing import Any


def check(library: str, assumptions: Mapping[str, bool]) -> None:
    """Raise ImportError unless all assumptions about the library hold."""
    wrong = [assumption for assumption, holds in assumptions.items() if not holds]
    if wrong:
        # Only here: it is 1.5 of the 24 MB that each render process starts with.
        from importlib import metadata  # noqa: PLC0415

        raise ImportError(
            f"{library} {metadata.version(library)} is not supported: expected that "
            f"{', that '.join(wrong)}; install a version that framekeep allows"
        )


def has_all(owner: object, names: Iterable[str]) -> bool:
    return all(hasattr(owner, name) for name in names)


def sets_all(function: Any, names: Iterable[str]) -> bool:
    """Whether the code of a function mentions all these attributes, as ``__init__`` does."""
    return set(names) <= set(function.__code__.co_names)
