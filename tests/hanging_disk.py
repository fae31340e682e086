"""Make files of a cache hang, as those of a dead disk do: whoever opens one waits in the kernel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def hanging_bodies(folder: Path, kind: str = "rendition") -> Iterator[None]:
    """Replace the files of this kind by pipes without a writer, until the block ends.

    Only bodies of 32 KiB or more are files.
    """
    paths = [path for path in (folder / kind).rglob("*.val") if "staging" not in path.parts]
    assert paths
    for path in paths:
        path.unlink()
        os.mkfifo(path)
    try:
        yield
    finally:
        for path in paths:
            with suppress(FileNotFoundError, OSError):  # ENXIO: nobody waits
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            path.unlink(missing_ok=True)
