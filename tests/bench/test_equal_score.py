"""Encoders are compared at scores that both reach, between the qualities that were measured."""

import numpy as np
import pictures
import pytest
from equal_score import Measured, geometric_mean, ms_ssim, relative_bytes


def curve(*points: tuple[float, int]) -> list[Measured]:
    return [Measured(50, size, score, score / 2, 1.0) for score, size in points]


def test_half_the_bytes_at_each_score_is_half() -> None:
    base = curve((50, 1000), (70, 2000), (90, 8000))
    other = curve((50, 500), (70, 1000), (90, 4000))
    assert relative_bytes(other, base, "ssimulacra2") == pytest.approx(0.5)
    assert relative_bytes(other, base, "ms_ssim") == pytest.approx(0.5)


def test_qualities_need_not_give_the_same_scores() -> None:
    base = curve((50, 1000), (90, 4000))
    assert relative_bytes(curve((70, 2000), (80, 2828)), base, "ssimulacra2") == pytest.approx(
        1, abs=0.001
    )


def test_curves_without_a_common_score_are_not_compared() -> None:
    assert relative_bytes(curve((10, 1), (20, 2)), curve((30, 1), (40, 2)), "ssimulacra2") is None


def test_the_mean_of_a_half_and_a_double_is_one() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1)


def test_more_noise_has_a_lower_similarity() -> None:
    scene = pictures.scene(96, 80)
    noise = np.random.default_rng(1).normal(0, 1, scene.shape)
    noisy = [np.clip(scene + strength * noise, 0, 255).astype(np.uint8) for strength in (0, 4, 12)]
    equal, better, worse = (ms_ssim(scene, each) for each in noisy)
    assert 60 == equal > better > worse > 0
