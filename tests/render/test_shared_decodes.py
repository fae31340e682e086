"""Several sizes that are requested at a time share one decode, and look the same as without it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from origin_server import OriginServer
from pictures import decode, encode, encode_animation, moving_square, scene
from service_fixture import ServiceHarness

from proxy.errors import BrokenImage
from proxy.geometry import Size
from proxy.imaging.copyright.notice import CopyrightNotice
from proxy.imaging.headers import ImageHeader, probe
from proxy.imaging.shrink_on_load import (
    MAX_SHARED_PIXELS,
    DecodedInfo,
    LoadScale,
    can_share,
    shared_shrink_factor,
    shrink_factor,
    size_for_shrink,
)
from proxy.links.dialect import DialectContext
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.render.scheduling import Priority
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

PHOTO = encode(scene(1600, 1200), "jpeg", quality=92)
LINKS = DialectContext(OperationRegistry(OPERATIONS))
AVATAR = ("resize:100:100", "convert:png")
CARD = ("resize:400:300", "convert:png")
SOCIAL = ("smart_crop:600:315", "convert:png")
SQUARE = ("smart_crop:300:300", "convert:png")
FULL = ("flip", "convert:png")


async def render_together(
    harness: ServiceHarness, url: str, *plans: tuple[str, ...], priority: Priority = "interactive"
) -> list[ImageResult]:
    requests = [LINKS.make_request(url, list(steps)) for steps in plans]
    return list(
        await asyncio.gather(
            *(harness.service.get_or_render(request, priority) for request in requests)
        )
    )


async def test_sizes_that_are_requested_at_once_share_one_decode_and_one_detection(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    await render_together(harness, url, AVATAR, CARD, SOCIAL, SQUARE)
    assert harness.pool.run_counts == {"decode": 1, "subject": 1, "render": 4}


async def test_of_consecutive_requests_the_second_decodes_for_all_that_follow(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    for plan in (AVATAR, CARD, SOCIAL, SQUARE):
        await render_together(harness, url, plan)
    assert harness.pool.run_counts == {"decode": 1, "subject": 1, "render": 4}


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[tuple[ServiceHarness, ServiceHarness]]:
    """Two workers of one machine."""
    both = [ServiceHarness(tmp_path / "cache", shared_dir=tmp_path) for _ in range(2)]
    yield both[0], both[1]
    for harness in both:
        await harness.close()


@pytest.mark.parametrize("together", [True, False])
async def test_it_makes_no_difference_which_worker_a_size_reaches(
    workers: tuple[ServiceHarness, ServiceHarness], origin: OriginServer, together: bool
) -> None:
    one, other = workers
    url = origin.serve("/a.jpg", PHOTO)
    plans = (one, AVATAR), (other, CARD), (one, SOCIAL), (other, SQUARE)
    renders = [render_together(harness, url, plan) for harness, plan in plans]
    if together:
        await asyncio.gather(*renders)
    else:
        for render in renders:
            await render
    assert one.pool.run_counts + other.pool.run_counts == {"decode": 1, "subject": 1, "render": 4}


async def test_a_worker_that_evicts_a_decode_leaves_it_to_the_others(
    workers: tuple[ServiceHarness, ServiceHarness], origin: OriginServer
) -> None:
    one, other = workers
    url = origin.serve("/a.jpg", PHOTO)
    await render_together(one, url, AVATAR, CARD)
    await render_together(other, url, SOCIAL)
    one.service._renderer._decodes.evict(unused_for=0)
    await render_together(other, url, SQUARE)
    assert one.pool.run_counts + other.pool.run_counts == {"decode": 1, "subject": 1, "render": 4}


async def test_background_requests_run_all_tasks_at_background_priority(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    await render_together(harness, url, AVATAR, SOCIAL, SQUARE, priority="background")
    assert harness.pool.run_counts == {"decode": 1, "subject": 1, "render": 3}
    assert harness.pool.priorities == {"background"}


async def test_a_single_size_is_rendered_in_one_task(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    for name in ("/a.jpg", "/b.jpg"):
        await render_together(harness, origin.serve(name, PHOTO + name.encode()), CARD)
    assert harness.pool.run_counts == {"render": 2}


async def test_a_plan_that_needs_more_pixels_decodes_for_itself(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    full, _, _ = await render_together(harness, url, FULL, AVATAR, CARD)
    assert full.rendition.size == Size(1600, 1200)
    assert harness.pool.run_counts == {"decode": 1, "render": 3}


async def test_small_and_animated_originals_are_decoded_for_each_size(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    for name, body in (
        ("/small.jpg", encode(scene(400, 300), "jpeg")),
        ("/moving.gif", encode_animation(moving_square(4, 1600, 1200))),
    ):
        await render_together(
            harness, origin.serve(name, body), AVATAR, ("resize:90:90", "convert:png")
        )
    assert harness.pool.run_counts == {"render": 4}


async def test_sizes_of_a_shared_decode_look_like_those_rendered_alone(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    plans = (AVATAR, CARD, SOCIAL, SQUARE)
    shared = await render_together(harness, origin.serve("/a.jpg", PHOTO), *plans)
    for number, (plan, one) in enumerate(zip(plans, shared, strict=True)):
        url = origin.serve(f"/{number}.jpg", PHOTO + str(number).encode())
        (alone,) = await render_together(harness, url, plan)
        assert alone.rendition.crop_reason == one.rendition.crop_reason
        assert alone.rendition.size == one.rendition.size
        a, b = (decode(result.rendition.body).astype(float) for result in (alone, one))
        # Each detected on its own pixels: their windows may be a row or a column apart.
        shifts = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
        differences = [np.abs(a - np.roll(b, shift, (0, 1))).mean() for shift in shifts]
        assert min(differences) < 1.5


async def test_a_truncated_original_fails_for_all_sizes(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    for name, body in (("/cut.jpg", PHOTO[:-5000]), ("/closed.jpg", PHOTO[:-5000] + b"\xff\xd9")):
        url = origin.serve(name, body)
        requests = [LINKS.make_request(url, list(steps)) for steps in (AVATAR, CARD, SOCIAL)]
        results = await asyncio.gather(
            *map(harness.service.get_or_render, requests), return_exceptions=True
        )
        assert [type(result) for result in results] == [BrokenImage] * 3


async def test_unused_decodes_are_evicted(harness: ServiceHarness, origin: OriginServer) -> None:
    await render_together(harness, origin.serve("/a.jpg", PHOTO), AVATAR, CARD)
    decodes = harness.service._renderer._decodes
    assert len(decodes) == 1
    decodes.evict(unused_for=0)
    assert len(decodes) == 0


async def test_memory_of_decodes_is_bounded(harness: ServiceHarness, origin: OriginServer) -> None:
    large = encode(scene(3000, 2000), "jpeg")
    for number in range(6):
        url = origin.serve(f"/{number}.jpg", large + str(number).encode())
        await render_together(harness, url, AVATAR, CARD)
    assert harness.pool.run_counts["decode"] == 6
    assert len(harness.service._renderer._decodes) == 3  # of 18 MB each


sides = st.integers(1, 40_000)


@given(sides, sides, st.sampled_from(["jpeg", "png", "webp"]))
def test_a_shared_decode_is_at_most_the_limit_and_no_smaller_than_needed(
    width: int, height: int, form: str
) -> None:
    header = ImageHeader(form, width, height)  # type: ignore[arg-type]
    factor = shared_shrink_factor(header)
    if factor is None:
        return
    assert width * height <= MAX_SHARED_PIXELS * factor**2
    if min(width, height) > 100:
        needed = size_for_shrink(factor, Size(width, height))
        assert factor <= shrink_factor(Size(width, height), needed) < 2 * factor


@given(sides, sides, sides, sides)
def test_a_plan_on_a_shared_decode_scales_the_rest_itself(
    width: int, height: int, wide: int, high: int
) -> None:
    header, needed = ImageHeader("jpeg", width, height), Size(wide, high)
    if can_share(header, needed):
        factor = shared_shrink_factor(header)
        assert factor is not None
        scale, natural = LoadScale(factor), Size(width, height)
        decoded = DecodedInfo(scale.shrunk(natural), scale, 3, natural, "jpeg", CopyrightNotice())
        assert decoded.can_serve(needed)
        assert shrink_factor(Size(width, height), needed) >= factor


def test_the_header_decides_whether_a_decode_is_shared() -> None:
    header = probe(PHOTO)
    assert can_share(header, Size(400, 300))
    assert not can_share(header, Size(1600, 1200))
    assert not can_share(header, None)
