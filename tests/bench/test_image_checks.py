"""Nobody wins by worse pictures, nor by an answer that is none."""

import pytest
import pyvips
from image_checks import WrongPicture, check, ssim
from pictures import scene
from scenarios import AVATAR


def test_a_picture_is_like_itself_and_less_like_itself_the_more_it_is_blurred() -> None:
    sharp = pyvips.Image.new_from_array(scene()).copy(interpretation="srgb")

    likeness = [ssim(sharp, sharp.gaussblur(sigma)) for sigma in (1, 2, 3)]

    assert ssim(sharp, sharp) == pytest.approx(1)
    assert 1 > likeness[0] > likeness[1] > likeness[2]


def test_an_answer_that_is_no_picture_is_told_by_the_name_of_who_gave_it() -> None:
    with pytest.raises(WrongPicture, match="someone did not answer with a picture"):
        check(b"no picture", AVATAR, "someone")
