"""No server wins by worse images, or by a response that is not an image."""

import pytest
import pyvips
from image_checks import WrongImage, decode_checked, ssim
from pictures import scene
from scenarios import AVATAR


def test_similarity_is_one_for_equal_images_and_decreases_with_blur() -> None:
    sharp = pyvips.Image.new_from_array(scene()).copy(interpretation="srgb")

    similarities = [ssim(sharp, sharp.gaussblur(sigma)) for sigma in (1, 2, 3)]

    assert ssim(sharp, sharp) == pytest.approx(1)
    assert 1 > similarities[0] > similarities[1] > similarities[2]


def test_the_error_for_a_response_that_is_not_an_image_names_the_server() -> None:
    with pytest.raises(WrongImage, match="response of some server is not an image"):
        decode_checked(b"not an image", AVATAR, "some server")
