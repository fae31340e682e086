"""Train the subject net.

    python train/fit.py SET TEACHERS YOLOX OUT [--minutes 45] [--start CHECKPOINT]

SET is the folder of pictures, TEACHERS what ``prepare.py`` wrote for it, YOLOX the file
``yolox_nano.onnx`` from whose weights the net starts. After each epoch OUT is written, and a line
is printed with the losses on the training pictures, and on every twelfth picture, which the net
never learns from.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from labels import WHOLE, Labels, TrainingPicture, Window, load_pictures
from losses import WEIGHTS, losses
from network import SubjectNet, load_yolox
from torch import Tensor
from torch.nn import functional

from proxy.smartcrop.subject_net_detector import input_size

_BATCH = 16
_WHOLE_VIEWS = 0.45  # share of the views that show a whole picture
_VALIDATION = 12  # every so many pictures is kept for validation
_INHERITED_RATE, _NEW_RATE = 2.5e-4, 1e-3
_WARM_UP = 200  # steps
_MEMORY = 0.998  # of the mean of the weights

View = tuple[TrainingPicture, Window, bool]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the subject net.")
    parser.add_argument("set", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("yolox", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--rate", type=float, default=1, help="factor of the learning rates")
    parser.add_argument("--start", type=Path, help="checkpoint to begin with")
    options = parser.parse_args()
    torch.manual_seed(1)
    chance = random.Random(1)
    pictures = load_pictures(options.set, options.teachers)
    validation = pictures[5::_VALIDATION]
    training = [each for k, each in enumerate(pictures) if k % _VALIDATION != 5]
    net = load_yolox(options.yolox)
    if options.start:
        net.load_state_dict(torch.load(options.start, weights_only=True)["net"])
    trainer = Trainer(net, options.minutes * 60, options.rate)
    while not trainer.is_done:
        trained = trainer.epoch(training, chance)
        print(
            trainer.steps,
            "training",
            trained,
            "validation",
            trainer.validate(validation),
            flush=True,
        )
        torch.save({"net": net.state_dict(), "mean": trainer.mean.state_dict()}, options.out)


class Trainer:
    """Follows a cosine schedule over a time; ``mean`` is the running mean of the weights."""

    def __init__(self, net: SubjectNet, seconds: float, rate: float) -> None:
        self._net = net.to(memory_format=torch.channels_last)
        self.mean = SubjectNet()
        self.mean.load_state_dict(net.state_dict())
        for parameter in net.frozen():
            parameter.requires_grad = False
        own = ("faces", "heat")
        named = [(name, each) for name, each in net.named_parameters() if each.requires_grad]
        self._rates = (_INHERITED_RATE * rate, _NEW_RATE * rate)
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [each for name, each in named if not name.startswith(own)]},
                {"params": [each for name, each in named if name.startswith(own)]},
            ],
            weight_decay=0.01,
        )
        self._start, self._seconds = time.monotonic(), seconds
        self.steps = 0

    @property
    def is_done(self) -> bool:
        return time.monotonic() - self._start >= self._seconds

    def epoch(self, pictures: Sequence[TrainingPicture], chance: random.Random) -> dict[str, float]:
        """Show each picture once, or fewer when the time is over; the mean losses."""
        total = dict.fromkeys(WEIGHTS, 0.0)
        steps = 0
        for width, height, views in batches(pictures, chance):
            if self.is_done:
                break
            for name, value in self._step(width, height, views, chance).items():
                total[name] += value
            steps += 1
        return {name: round(value / max(1, steps), 3) for name, value in total.items()}

    def _step(
        self, width: int, height: int, views: Sequence[View], chance: random.Random
    ) -> dict[str, float]:
        done = min(1.0, (time.monotonic() - self._start) / self._seconds)
        factor = min(1, (self.steps + 1) / _WARM_UP) * max(0.01, (1 + np.cos(np.pi * done)) / 2)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        pixels, labels = show(views, width, height)
        pixels = augment(pixels, chance).contiguous(memory_format=torch.channels_last)
        parts = losses(self._net(pixels), labels, width, height)
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self._net.parameters(), 10.0)
        if torch.isfinite(norm):
            self._optimizer.step()
        self.steps += 1
        share = 1 - min(_MEMORY, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            for mean, each in zip(self.mean.parameters(), self._net.parameters(), strict=True):
                mean.lerp_(each, share)
        return {name: float(part.detach()) for name, part in parts.items()}

    @torch.no_grad()
    def validate(self, pictures: Sequence[TrainingPicture]) -> dict[str, float]:
        """The mean losses on whole pictures."""
        total = dict.fromkeys(WEIGHTS, 0.0)
        for picture in pictures:
            width, height = input_size(picture.pixels.shape[1], picture.pixels.shape[0])
            pixels, labels = show([(picture, WHOLE, False)], width, height)
            for name, part in losses(self.mean(pixels), labels, width, height).items():
                total[name] += float(part)
        return {name: round(value / len(pictures), 3) for name, value in total.items()}


def batches(
    pictures: Sequence[TrainingPicture], chance: random.Random
) -> Iterator[tuple[int, int, list[View]]]:
    """One view of each picture, in batches of views of one size; small rests are left out."""
    by_size: dict[tuple[int, int], list[View]] = {}
    for picture in pictures:
        window = WHOLE if chance.random() < _WHOLE_VIEWS else random_window(chance)
        height, width = picture.pixels.shape[:2]
        size = input_size(
            max(1, round(width * (window[2] - window[0]))),
            max(1, round(height * (window[3] - window[1]))),
        )
        by_size.setdefault(size, []).append((picture, window, chance.random() < 0.5))
    found = []
    for (width, height), views in by_size.items():
        chance.shuffle(views)
        found += [
            (width, height, views[start : start + _BATCH])
            for start in range(0, len(views) - 3, _BATCH)
        ]
    chance.shuffle(found)
    yield from found


def random_window(chance: random.Random) -> Window:
    """30 to 100 % of the area, up to 1.7 times as wide or as high as the picture's ratio."""
    area, ratio = chance.uniform(0.3, 1), 1.7 ** chance.uniform(-1, 1)
    width, height = min(1.0, (area * ratio) ** 0.5), min(1.0, (area / ratio) ** 0.5)
    left, top = chance.uniform(0, 1 - width), chance.uniform(0, 1 - height)
    return left, top, left + width, top + height


def show(views: Sequence[View], width: int, height: int) -> tuple[Tensor, list[Labels]]:
    """The pixels (n, 3, height, width), 0 to 255, and the labels."""
    pixels = [
        picture.crop(window, mirrored=mirrored, width=width, height=height)
        for picture, window, mirrored in views
    ]
    labels = [
        picture.label(window, mirrored=mirrored, width=width, height=height)
        for picture, window, mirrored in views
    ]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float(), labels


def augment(pixels: Tensor, chance: random.Random) -> Tensor:
    """Change light, contrast, color and sharpness of each view by chance."""
    for index, view in enumerate(pixels):
        x = view
        if chance.random() < 0.08:
            x = x.mean(0, keepdim=True).expand(3, -1, -1)
        if chance.random() < 0.7:
            mean = x.mean()
            x = (x - mean) * chance.uniform(0.65, 1.35) + mean * chance.uniform(0.65, 1.35)
            x = x * torch.tensor([chance.uniform(0.88, 1.12) for _ in range(3)])[:, None, None]
            gray = x.mean(0, keepdim=True)
            x = gray + (x - gray) * chance.uniform(0.4, 1.5)
        if chance.random() < 0.2:
            x = functional.avg_pool2d(x[None], 3, 1, 1, count_include_pad=False)[0]
        if chance.random() < 0.25:
            x = x + torch.randn_like(x) * chance.uniform(1, 12)
        pixels[index] = x.clamp(0, 255)
    return pixels


if __name__ == "__main__":
    main()
