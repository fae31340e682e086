"""Sizes that are wanted at a time are made of one decoding, and nobody sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from origin_server import Origin
from pictures import animation, file, frames, opened, scene
from service_fixture import World

from proxy.errors import BrokenImage
from proxy.geometry import Size
from proxy.imaging.headers import Header, probe
from proxy.imaging.shrink_on_load import (
    SHARED_AT_MOST,
    Raster,
    may_share,
    reduced_by,
    shared_factor,
    whole_factor,
)
from proxy.links.native import NativeDialect
from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.plan import OperationRegistry
from proxy.render.protocol import Lane
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

PHOTO = file(scene(1600, 1200), "jpeg", quality=92)
NATIVE = NativeDialect(OperationRegistry(OPERATIONS), Keyring.from_hex(["00" * 32]))
AVATAR = ("resize:100:100", "convert:png")
CARD = ("resize:400:300", "convert:png")
SOCIAL = ("smart_crop:600:315", "convert:png")
SQUARE = ("smart_crop:300:300", "convert:png")
FULL = ("flip", "convert:png")


async def at_once(
    world: World, url: str, *wishes: tuple[str, ...], lane: Lane = "live"
) -> list[ImageResult]:
    jobs = [NATIVE.make_request(url, list(steps)) for steps in wishes]
    return list(await asyncio.gather(*(world.service.get_or_render(job, lane) for job in jobs)))


async def test_sizes_that_are_wanted_at_once_are_one_decoding_and_one_look(
    world: World, origin: Origin
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    await at_once(world, url, AVATAR, CARD, SOCIAL, SQUARE)
    assert world.pool.done == {"reduce": 1, "look": 1, "render": 4}


async def test_one_after_another_the_second_decodes_for_all_that_follow(
    world: World, origin: Origin
) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    for wish in (AVATAR, CARD, SOCIAL, SQUARE):
        await at_once(world, url, wish)
    assert world.pool.done == {"reduce": 1, "look": 1, "render": 4}


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Two of one machine."""
    both = [World(tmp_path / "cache", shared=tmp_path) for _ in range(2)]
    yield both[0], both[1]
    for world in both:
        await world.close()


@pytest.mark.parametrize("together", [True, False])
async def test_it_makes_no_difference_which_workers_sizes_reach(
    workers: tuple[World, World], origin: Origin, together: bool
) -> None:
    one, other = workers
    url = origin.serve("/a.jpg", PHOTO)
    wishes = (one, AVATAR), (other, CARD), (one, SOCIAL), (other, SQUARE)
    asked = [at_once(world, url, wish) for world, wish in wishes]
    if together:
        await asyncio.gather(*asked)
    else:
        for answers in asked:
            await answers
    assert one.pool.done + other.pool.done == {"reduce": 1, "look": 1, "render": 4}


async def test_a_worker_that_lets_go_leaves_the_others_what_they_have(
    workers: tuple[World, World], origin: Origin
) -> None:
    one, other = workers
    url = origin.serve("/a.jpg", PHOTO)
    await at_once(one, url, AVATAR, CARD)
    await at_once(other, url, SOCIAL)
    one.service._renderer._rasters.forget(unused_for=0)
    await at_once(other, url, SQUARE)
    assert one.pool.done + other.pool.done == {"reduce": 1, "look": 1, "render": 4}


async def test_what_is_in_no_hurry_stays_so_at_every_step(world: World, origin: Origin) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    await at_once(world, url, AVATAR, SOCIAL, SQUARE, lane="background")
    assert world.pool.done == {"reduce": 1, "look": 1, "render": 3}
    assert world.pool.lanes == {"background"}


async def test_who_comes_alone_is_rendered_in_one_go(world: World, origin: Origin) -> None:
    for name in ("/a.jpg", "/b.jpg"):
        await at_once(world, origin.serve(name, PHOTO + name.encode()), CARD)
    assert world.pool.done == {"render": 2}


async def test_a_plan_that_needs_more_pixels_gets_them(world: World, origin: Origin) -> None:
    url = origin.serve("/a.jpg", PHOTO)
    full, _, _ = await at_once(world, url, FULL, AVATAR, CARD)
    assert full.rendition.size == Size(1600, 1200)
    assert world.pool.done == {"reduce": 1, "render": 3}


async def test_what_costs_little_and_what_moves_is_decoded_for_each(
    world: World, origin: Origin
) -> None:
    for name, body in (
        ("/small.jpg", file(scene(400, 300), "jpeg")),
        ("/moving.gif", animation(frames(4, 1600, 1200))),
    ):
        await at_once(world, origin.serve(name, body), AVATAR, ("resize:90:90", "convert:png"))
    assert world.pool.done == {"render": 4}


async def test_no_size_is_visibly_another(world: World, origin: Origin) -> None:
    wishes = (AVATAR, CARD, SOCIAL, SQUARE)
    shared = await at_once(world, origin.serve("/a.jpg", PHOTO), *wishes)
    for number, (wish, one) in enumerate(zip(wishes, shared, strict=True)):
        url = origin.serve(f"/{number}.jpg", PHOTO + str(number).encode())
        (alone,) = await at_once(world, url, wish)
        assert alone.rendition.decided == one.rendition.decided
        assert alone.rendition.size == one.rendition.size
        a, b = (opened(answer.rendition.body).astype(float) for answer in (alone, one))
        # Each was looked at by itself: their windows may lie a row or a column apart.
        shifts = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
        apart = [np.abs(a - np.roll(b, shift, (0, 1))).mean() for shift in shifts]
        assert min(apart) < 1.5


async def test_a_file_that_was_cut_is_refused_to_all(world: World, origin: Origin) -> None:
    for name, body in (("/cut.jpg", PHOTO[:-5000]), ("/closed.jpg", PHOTO[:-5000] + b"\xff\xd9")):
        url = origin.serve(name, body)
        jobs = [NATIVE.make_request(url, list(steps)) for steps in (AVATAR, CARD, SOCIAL)]
        told = await asyncio.gather(*map(world.service.get_or_render, jobs), return_exceptions=True)
        assert [type(one) for one in told] == [BrokenImage] * 3


async def test_rasters_are_let_go(world: World, origin: Origin) -> None:
    await at_once(world, origin.serve("/a.jpg", PHOTO), AVATAR, CARD)
    rasters = world.service._renderer._rasters
    assert len(rasters) == 1
    rasters.forget(unused_for=0)
    assert len(rasters) == 0


async def test_memory_for_rasters_is_bounded(world: World, origin: Origin) -> None:
    large = file(scene(3000, 2000), "jpeg")
    for number in range(6):
        url = origin.serve(f"/{number}.jpg", large + str(number).encode())
        await at_once(world, url, AVATAR, CARD)
    assert world.pool.done["reduce"] == 6
    assert len(world.service._renderer._rasters) == 3  # of 18 MB each


sides = st.integers(1, 40_000)


@given(sides, sides, st.sampled_from(["jpeg", "png", "webp"]))
def test_a_shared_raster_is_as_small_as_it_was_to_be(width: int, height: int, form: str) -> None:
    header = Header(form, width, height)  # type: ignore[arg-type]
    factor = shared_factor(header)
    if factor is None:
        return
    assert width * height <= SHARED_AT_MOST * factor**2
    if min(width, height) > 100:
        needed = reduced_by(factor, Size(width, height))
        assert factor <= whole_factor(Size(width, height), needed) < 2 * factor


@given(sides, sides, sides, sides)
def test_what_begins_with_a_shared_raster_scales_the_rest_itself(
    width: int, height: int, wide: int, high: int
) -> None:
    header, needed = Header("jpeg", width, height), Size(wide, high)
    if may_share(header, needed):
        factor = shared_factor(header)
        assert factor is not None
        size = Size(width // factor, height // factor)
        assert Raster(size, 3, Size(width, height), "jpeg", {}).serves(needed)
        assert whole_factor(Size(width, height), needed) >= factor


def test_a_header_tells_who_may_share() -> None:
    header = probe(PHOTO)
    assert may_share(header, Size(400, 300))
    assert not may_share(header, Size(1600, 1200))
    assert not may_share(header, None)
