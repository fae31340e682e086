"""The subject net in PyTorch: YOLOX-nano, and branches for faces and for the map of the subject.

`proxy.smartcrop.subject_net` computes the same in NumPy. Weights are rounded to as few bits as the
exported file has in each forward pass, so that training knows of it.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

CLASS_COUNT = 80
_FEW_BITS, _SOME_BITS, _MANY_BITS = 5, 6, 8
_LARGE, _MEDIUM = 32768, 4096  # weights of a layer from which it has few or some bits


class Conv(nn.Conv2d):
    """A convolution with rounded weights, and SiLU after it."""

    def __init__(
        self, inputs: int, filters: int, side: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, filters, side, stride, side // 2, groups=groups)
        self.activate = True

    @property
    def largest(self) -> int:
        """The largest integer that a weight is rounded to."""
        count = self.weight.numel()
        if self.kernel_size != (1, 1) or count < _MEDIUM:
            return 2 ** (_MANY_BITS - 1) - 1
        return 2 ** ((_FEW_BITS if count >= _LARGE else _SOME_BITS) - 1) - 1

    def scales(self) -> Tensor:
        """What the integers of each filter are multiplied by."""
        highest = self.weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
        return highest.clamp_min(1e-8) / self.largest

    def forward(self, x: Tensor) -> Tensor:
        scales = self.scales()
        rounded = torch.round(self.weight / scales) * scales
        weight = self.weight + (rounded - self.weight).detach()  # straight-through gradient
        x = functional.conv2d(x, weight, self.bias, self.stride, self.padding, 1, self.groups)
        return functional.silu(x) if self.activate else x


def linear(inputs: int, filters: int) -> Conv:
    conv = Conv(inputs, filters)
    conv.activate = False
    return conv


def separable(inputs: int, filters: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, inputs, 3, stride, inputs), Conv(inputs, filters))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, *, residual: bool) -> None:
        super().__init__()
        self.conv, self.separable = Conv(channels, channels), separable(channels, channels)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.separable(self.conv(x))
        return x + y if self.residual else y


class CrossStagePartial(nn.Module):
    def __init__(
        self, inputs: int, filters: int, depth: int = 1, *, residual: bool = False
    ) -> None:
        super().__init__()
        half = filters // 2
        self.first, self.second = Conv(inputs, half), Conv(inputs, half)
        self.deep = nn.Sequential(*(Bottleneck(half, residual=residual) for _ in range(depth)))
        self.last = Conv(filters, filters)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.cat([self.deep(self.first(x)), self.second(x)], 1))
        return y


class PyramidPool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = Conv(256, 128), Conv(512, 256)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.first(x)]
        for _ in range(3):
            pooled.append(functional.max_pool2d(pooled[-1], 5, 1, 2))
        y: Tensor = self.last(torch.cat(pooled, 1))
        return y


class Head(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.stem = Conv(inputs, 64)
        self.classes = nn.Sequential(separable(64, 64), separable(64, 64))
        self.class_logits = linear(64, CLASS_COUNT)
        self.boxes = nn.Sequential(separable(64, 64), separable(64, 64))
        self.edges, self.confidence = linear(64, 4), linear(64, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        boxes = self.boxes(x)
        classes = self.class_logits(self.classes(x))
        return x, torch.cat([self.edges(boxes), self.confidence(boxes), classes], 1)


class SubjectNet(nn.Module):
    """The order in which the modules are made is that of the layers in both files of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(12, 16, 3)
        self.stage_4 = nn.Sequential(
            separable(16, 32, 2), CrossStagePartial(32, 32, 1, residual=True)
        )
        self.stage_8 = nn.Sequential(
            separable(32, 64, 2), CrossStagePartial(64, 64, 3, residual=True)
        )
        self.stage_16 = nn.Sequential(
            separable(64, 128, 2), CrossStagePartial(128, 128, 3, residual=True)
        )
        self.stage_32 = nn.Sequential(
            separable(128, 256, 2), PyramidPool(), CrossStagePartial(256, 256)
        )
        self.reduce_32, self.down_16 = Conv(256, 128), CrossStagePartial(256, 128)
        self.reduce_16, self.down_8 = Conv(128, 64), CrossStagePartial(128, 64)
        self.shrink_8, self.up_16 = separable(64, 64, 2), CrossStagePartial(128, 128)
        self.shrink_16, self.up_32 = separable(128, 128, 2), CrossStagePartial(256, 256)
        self.heads = nn.ModuleList([Head(64), Head(128), Head(256)])
        self.faces = nn.ModuleList(
            [nn.Sequential(separable(64, 64), linear(64, 5)) for _ in range(3)]
        )
        self.heat = nn.Sequential(separable(64, 64), linear(64, 1))
        self.heat_16, self.heat_32 = Conv(64, 64), Conv(64, 64)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of objects (n, cells, 85) and of faces (n, cells, 5), and the map (n, h/8, w/8).

        ``rgb`` is 0 to 255, of shape (n, 3, height, width).
        """
        with torch.no_grad():  # the first layers stay as they are: most of the time, little gain
            bgr = rgb.flip(1)
            parts = [bgr[..., row::2, column::2] for column in range(2) for row in range(2)]
            x = self.stage_4(self.stem(torch.cat(parts, 1)))
        eighth = self.stage_8(x)
        sixteenth = self.stage_16(eighth)
        coarse = self.reduce_32(self.stage_32(sixteenth))
        middle = self.reduce_16(self.down_16(torch.cat([_double(coarse), sixteenth], 1)))
        fine = self.down_8(torch.cat([_double(middle), eighth], 1))
        middle = self.up_16(torch.cat([self.shrink_8(fine), middle], 1))
        coarse = self.up_32(torch.cat([self.shrink_16(middle), coarse], 1))
        levels = zip(self.heads, (fine, middle, coarse), strict=True)
        features, objects = zip(*(head(level) for head, level in levels), strict=True)
        faces = [branch(x) for branch, x in zip(self.faces, features, strict=True)]
        context = self.heat_16(features[1]) + _double(self.heat_32(features[2]))
        heat = self.heat(features[0] + _double(context))
        return _rows(objects), _rows(faces), heat[:, 0]

    def convs(self) -> list[Conv]:
        """All layers, in the order of the file."""
        return [module for module in self.modules() if isinstance(module, Conv)]

    def frozen(self) -> list[nn.Parameter]:
        return [*self.stem.parameters(), *self.stage_4.parameters()]


def load_yolox(path: Path) -> SubjectNet:
    """A net with the weights of YOLOX-nano; its own branches begin as copies of similar ones."""
    net = SubjectNet()
    graph = onnx.load(path).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = [node.input[1:3] for node in graph.node if node.op_type == "Conv"]
    own = {
        id(conv)
        for module in (net.faces, net.heat, net.heat_16, net.heat_32)
        for conv in module.modules()
    }
    inherited = [conv for conv in net.convs() if id(conv) not in own]
    for (weight, bias), conv in zip(layers, inherited, strict=True):
        conv.weight.data.copy_(torch.from_numpy(arrays[weight].copy()))
        conv.bias.data.copy_(torch.from_numpy(arrays[bias].copy()))
    for head, (first, last) in zip(net.heads, net.faces, strict=True):
        first.load_state_dict(head.boxes[0].state_dict())
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        last.bias.data[4] = -5.0  # faces are rare
    net.heat[0].load_state_dict(net.heads[0].classes[0].state_dict())
    nn.init.normal_(net.heat[1].weight, std=0.01)
    for context in (net.heat_16, net.heat_32):
        context.weight.data.copy_(torch.eye(64)[:, :, None, None] / 2)
    return net


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def _rows(grids: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    return torch.cat([grid.flatten(2) for grid in grids], 2).transpose(1, 2)
