"""The frame that a rendition shows decides where its subject is, whatever was detected before."""

import pictures
import pytest
from origin_server import OriginServer
from service_fixture import ServiceHarness

from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.operations.convert import Convert
from proxy.operations.frames import Frames
from proxy.operations.operation import Operation
from proxy.operations.page import Page
from proxy.operations.plan import Plan
from proxy.operations.smart_crop import SmartCrop
from proxy.originals import SourceRef
from proxy.render.tasks import RenderRequest

pytestmark = pytest.mark.anyio

SQUARE = 400  # pixels
MOVED = pictures.encode_animation(
    [pictures.red_square(240, 60, left, 20, 20) for left in (5, 215, 210, 205)]
)
CROP, STILL = SmartCrop(60, 60), Convert("png")
PLANS: tuple[tuple[Operation, ...], ...] = (
    (CROP,),
    (CROP, STILL),
    (Page(1), CROP, STILL),
    (Page(3), CROP, STILL),
    (Frames(2, 3), CROP, STILL),
)


def red_pixels(body: bytes) -> int:
    pixels = pictures.decode(body)[:, :, :3].astype(int)
    return int((pixels[:, :, 0] - pixels[:, :, 1] > 100).sum())


@pytest.mark.parametrize("plans", [PLANS, PLANS[::-1]])
async def test_a_still_of_an_animation_is_cropped_by_the_frame_that_it_shows(
    harness: ServiceHarness, origin: OriginServer, plans: tuple[tuple[Operation, ...], ...]
) -> None:
    source = SourceRef(origin.serve("/a.gif", MOVED))
    for steps in plans:
        result = await harness.service.get_or_render(ImageRequest(source, Plan(steps)))
        assert STILL not in steps or red_pixels(result.rendition.body) == SQUARE, steps


async def test_the_area_of_interest_of_an_animation_is_that_of_its_first_frame(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    source = SourceRef(origin.serve("/a.gif", MOVED))
    await harness.service.info(source)
    detection = await harness.service.detect(source, (Size(1, 1),))
    assert detection.area_of_interest.left + detection.area_of_interest.width < 120
    assert detection.crops[0].box.left <= 5


async def test_plans_that_show_the_same_frames_share_one_detection(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    source = SourceRef(origin.serve("/a.gif", MOVED))
    await harness.service.detect(source)
    seen: list[object] = []
    harness.pool.on_argument = seen.append
    for width in (20, 30):
        plan = Plan((SmartCrop(width, 30), Convert("jpeg")))
        await harness.service.get_or_render(ImageRequest(source, plan))
    subjects = [argument.subject for argument in seen if isinstance(argument, RenderRequest)]
    assert len(subjects) == 2
    assert None not in subjects
