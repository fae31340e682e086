"""Truncated JPEGs are found, whatever other threads decode at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pictures

from proxy import Framekeep
from proxy.errors import BrokenImage

WHOLE = pictures.encode(pictures.scene(600, 400), "jpeg", quality=90)


def renders(body: bytes) -> bool:
    try:
        Framekeep().render(body, "resize:200", "convert:png")
    except BrokenImage:
        return False
    return True


def test_threads_do_not_see_each_others_errors() -> None:
    cut = [WHOLE[: len(WHOLE) * percent // 100] + b"\xff\xd9" for percent in range(20, 90)]
    bodies = [body for pair in zip(cut, [WHOLE] * len(cut), strict=True) for body in pair]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(renders, bodies)) == [False, True] * len(cut)
