"""The subject net: its layers, its weights, and that it computes what PyTorch computes."""

import hashlib
import lzma
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.smartcrop.separable_layers import convolution, depthwise, double, max_pool, silu
from proxy.smartcrop.subject_net import SubjectNet
from proxy.smartcrop.subject_net_detector import input_size
from proxy.smartcrop.subject_net_weights import WEIGHTS_FILE, LayerWeights

OUTPUT = Path(__file__).parent / "subject_net_output.npz"
"""What the net in ``train/network.py`` returns for `drawing`, computed by PyTorch.

It has every 16th row of ``objects``.
"""

sides = st.integers(1, 9)
seeds = st.integers(0, 2**16)


def drawing(width: int, height: int) -> np.ndarray:
    """A head and shoulders before a shaded wall, in whole numbers."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([90 + x * 80 // width, 120 + y * 60 // height, 150 - x * 40 // width], 2)
    pixels[(x - 120) ** 2 * 4 + (y - 180) ** 2 < 9000] = (30, 40, 90)
    pixels[(x - 120) ** 2 * 2 + (y - 70) ** 2 < 1400] = (224, 172, 140)
    for eye in (110, 130):
        pixels[(x - eye) ** 2 + (y - 62) ** 2 < 12] = (30, 20, 20)
    return pixels.astype(np.uint8)


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def neighbors(x: np.ndarray, radius: int, outside: float) -> np.ndarray:
    """The cells around each cell, (channels, height, width, side * side)."""
    side = 2 * radius + 1
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (radius, radius), (radius, radius)), constant_values=outside)
    shifted = [
        padded[:, row : row + height, column : column + width]
        for row, column in product(range(side), repeat=2)
    ]
    return np.stack(shifted, axis=-1)


@settings(max_examples=25)
@given(seeds, sides, sides, sides)
def test_a_depthwise_convolution_weighs_the_neighbors_of_each_cell(
    seed: int, channels: int, height: int, width: int
) -> None:
    x, kernel, bias = (
        numbers(seed, channels, height, width),
        numbers(1, channels, 9),
        numbers(2, channels),
    )
    expected = (neighbors(x, 1, 0) * kernel[:, None, None]).sum(-1) + bias[:, None, None]
    assert np.allclose(depthwise(x, kernel, bias, 1), expected, atol=1e-4)


@settings(max_examples=25)
@given(seeds, sides, sides, sides)
def test_with_stride_2_every_other_cell_is_left_out(
    seed: int, channels: int, height: int, width: int
) -> None:
    x = numbers(seed, channels, 2 * height, 2 * width)
    kernel, bias = numbers(1, channels, 9), numbers(2, channels)
    expected = depthwise(x, kernel, bias, 1)[:, ::2, ::2]
    assert np.allclose(depthwise(x, kernel, bias, 2), expected, atol=1e-4)


@settings(max_examples=25)
@given(seeds, sides, st.integers(1, 40), sides)
def test_a_convolution_weighs_the_neighbors_in_all_channels(
    seed: int, channels: int, height: int, width: int
) -> None:
    x, kernel, bias = (
        numbers(seed, channels, height, width),
        numbers(1, 4, 9 * channels),
        numbers(2, 4),
    )
    expected = (
        np.einsum("chwn,fnc->fhw", neighbors(x, 1, 0), kernel.reshape(4, 9, channels))
        + bias[:, None, None]
    )
    assert np.allclose(convolution(x, kernel, bias), expected, atol=1e-3)


@settings(max_examples=25)
@given(seeds, sides, sides, sides)
def test_a_maximum_is_of_the_cells_around(
    seed: int, channels: int, height: int, width: int
) -> None:
    x = numbers(seed, channels, height, width)
    assert np.array_equal(max_pool(x), neighbors(x, 2, -np.inf).max(-1))


def test_a_doubled_grid_has_each_cell_four_times() -> None:
    assert double(np.array([[[1, 2]]], np.float32)).tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2]]]


def test_the_activation_of_large_values_is_finite() -> None:
    with np.errstate(over="ignore"):
        assert silu(np.array([-200, 0, 200], np.float32)).tolist() == [0, 0, 200]


def test_the_net_computes_what_it_computed_in_training() -> None:
    expected = np.load(OUTPUT)
    output = SubjectNet(LayerWeights())(drawing(224, 160))
    output = output._replace(objects=output.objects[::16])
    for name, found in output._asdict().items():
        assert found.shape == expected[name].shape
        assert np.allclose(found, expected[name].astype(np.float32), atol=0.02)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (448, 64), (64, 448)])
def test_the_net_has_a_row_for_each_cell(width: int, height: int) -> None:
    output = SubjectNet(LayerWeights())(np.zeros((height, width, 3), np.uint8))
    cells = sum(width * height // stride**2 for stride in (8, 16, 32))
    assert output.objects.shape == (cells, 85)
    assert output.faces.shape == (cells, 5)
    assert output.heat.shape == (height // 8, width // 8)


@given(st.integers(16, 640), st.integers(16, 640))
def test_the_net_sees_every_picture_at_about_one_size(width: int, height: int) -> None:
    columns, rows = input_size(width, height)
    assert columns % 32 == rows % 32 == 0
    assert min(columns, rows) >= 64
    assert max(columns, rows) <= 448
    assert columns * rows <= 50_000


def test_the_weights_are_small() -> None:
    assert WEIGHTS_FILE.stat().st_size <= 600_000


def test_other_weights_are_refused(tmp_path: Path) -> None:
    damaged = bytearray(WEIGHTS_FILE.read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "net.xz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"net\.xz has SHA-256 .*, expected"):
        LayerWeights(tmp_path / "net.xz")


@pytest.mark.parametrize(
    ("change", "message"), [(-1, "end too early"), (1, "layers that it does not know")]
)
def test_weights_of_another_net_are_refused(tmp_path: Path, change: int, message: str) -> None:
    raw = lzma.decompress(WEIGHTS_FILE.read_bytes())
    other = lzma.compress(raw[:change] if change < 0 else raw + b"0", preset=0)
    (tmp_path / "net.xz").write_bytes(other)
    weights = LayerWeights(tmp_path / "net.xz", hashlib.sha256(other).hexdigest())
    with pytest.raises(ValueError, match=message):
        SubjectNet(weights)
