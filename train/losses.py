"""The losses: boxes and classes by SimOTA (Ge et al., 2021), the map by its divergence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from labels import ANNOTATED, UNKNOWN_CLASS, Labels
from torch import Tensor
from torch.nn import functional

from proxy.smartcrop.grid_boxes import cells_of

WEIGHTS = {
    "object edges": 4,
    "object confidence": 1,
    "object classes": 1,
    "face edges": 3,
    "face confidence": 1,
    "heat": 2,
}

_CENTER_RADIUS = 1.5  # strides
_CANDIDATES = 10  # cells whose overlaps add up to the number of cells that learn a box
_FAR = 1e4  # cost of a cell outside of a box or far from its center
_MAX_EXPONENT = 6


def losses(
    output: tuple[Tensor, Tensor, Tensor], labels: Sequence[Labels], width: int, height: int
) -> dict[str, Tensor]:
    objects, faces, heat = output
    known = [torch.from_numpy(each.objects) for each in labels]
    doubtful = [torch.from_numpy(each.doubtful_objects) for each in labels]
    edges, confidence, classes = _detection(objects, known, doubtful, width, height)
    known = [torch.from_numpy(each.faces) for each in labels]
    doubtful = [torch.from_numpy(each.doubtful_faces) for each in labels]
    face_edges, face_confidence, _ = _detection(faces, known, doubtful, width, height)
    expected = torch.stack([torch.from_numpy(each.heat) for each in labels]).flatten(1)
    logarithms = functional.log_softmax(heat.flatten(1), 1)
    divergence = expected * (torch.log(expected.clamp(min=1e-8)) - logarithms)
    return {
        "object edges": edges,
        "object confidence": confidence,
        "object classes": classes,
        "face edges": face_edges,
        "face confidence": face_confidence,
        "heat": divergence.sum(1).mean(),
    }


def _detection(
    rows: Tensor, known: Sequence[Tensor], doubtful: Sequence[Tensor], width: int, height: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of edges, confidence and classes, for rows (n, cells, 5 + classes)."""
    cells, strides = _cells(width, height)
    centers = (rows[..., :2] + cells) * strides
    half_sizes = torch.exp(rows[..., 2:4].clamp(max=_MAX_EXPONENT)) * strides / 2
    boxes = torch.cat([centers - half_sizes, centers + half_sizes], -1)
    zero = rows.sum() * 0
    edges, confidences, classes, count = zero, zero, zero, 0
    for row, box, labels, ignored in zip(rows, boxes, known, doubtful, strict=True):
        x, y = ((cells + 0.5) * strides).unbind(1)
        expected, weight = torch.zeros(len(row)), torch.ones(len(row))
        weight[_inside(x, y, ignored).any(0)] = 0
        if len(labels):
            learned = _assign(labels, box.detach(), row.detach(), (x, y), strides[:, 0])
            at = (learned >= 0).nonzero()[:, 0]
            label = labels[learned[at]]
            expected[at] = torch.where(
                label[:, 4] >= ANNOTATED - 0.01, torch.ones(()), (label[:, 4] + 0.12).clamp(max=1)
            )
            weight[at] = 1
            overlap = torch.diagonal(_overlaps(box[at], label[:, :4]))
            edges = edges + ((1 - overlap**2) * label[:, 4].clamp(min=0.4)).sum()
            count += len(at)
            if row.shape[1] > 5:
                is_known = label[:, 5] != UNKNOWN_CLASS
                one_hot = functional.one_hot(label[is_known, 5].long(), row.shape[1] - 5)
                target = one_hot * (0.5 + 0.5 * overlap.detach()[is_known, None])
                classes = classes + functional.binary_cross_entropy_with_logits(
                    row[at[is_known], 5:], target, reduction="sum"
                )
        loss = functional.binary_cross_entropy_with_logits(row[:, 4], expected, reduction="none")
        confidences = confidences + (loss * weight).sum()
    return edges / max(count, 1), confidences / max(count, len(rows)), classes / max(count, 1)


@torch.no_grad()
def _assign(
    labels: Tensor, boxes: Tensor, rows: Tensor, centers: tuple[Tensor, Tensor], strides: Tensor
) -> Tensor:
    """Which label each cell learns, -1 for none: those that are nearest to it already (SimOTA)."""
    x, y = centers
    inside = _inside(x, y, labels)
    center_x, center_y = ((labels[:, [0, 1]] + labels[:, [2, 3]]) / 2).T[:, :, None]
    radius = _CENTER_RADIUS * strides
    near = ((x - center_x).abs() < radius) & ((y - center_y).abs() < radius)
    overlaps = _overlaps(labels[:, :4], boxes)
    confidence = torch.sigmoid(rows[:, 4])
    if rows.shape[1] > 5:
        probability = (torch.sigmoid(rows[:, 5:]) * confidence[:, None]).sqrt()
        probability = probability.clamp(1e-6, 1 - 1e-6)
        absent = -torch.log1p(-probability)
        index = labels[:, 5].clamp(min=0).long()
        cost = absent.sum(1)[None] - absent[:, index].T - torch.log(probability[:, index]).T
        cost[labels[:, 5] == UNKNOWN_CLASS] = 0
    else:
        cost = -torch.log(confidence + 1e-6)[None].expand(len(labels), -1)
    is_candidate = inside | near
    cost = cost - 3 * torch.log(overlaps + 1e-8) + _FAR * ~(inside & near)
    cost = cost + 100 * _FAR * ~is_candidate
    best = (overlaps * is_candidate).topk(min(_CANDIDATES, len(boxes)), 1).values
    counts = best.sum(1).int().clamp(min=1)
    matches = torch.zeros_like(is_candidate)
    for match, costs, count in zip(matches, cost, counts, strict=True):
        match[costs.topk(int(count), largest=False).indices] = True
    matches &= is_candidate
    contested = matches.sum(0) > 1
    cheapest = cost[:, contested].argmin(0)
    matches[:, contested] = False
    matches[cheapest, contested.nonzero()[:, 0]] = True
    learned = matches.float().argmax(0)
    learned[~matches.any(0)] = -1
    return learned


@lru_cache(maxsize=64)
def _cells(width: int, height: int) -> tuple[Tensor, Tensor]:
    cells, strides = cells_of(width, height)
    return torch.from_numpy(cells), torch.from_numpy(strides)


def _inside(x: Tensor, y: Tensor, boxes: Tensor) -> Tensor:
    """Whether each cell (columns) lies in each box (rows)."""
    left, top, right, bottom = boxes[:, :4].T[:, :, None]
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def _overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each pair."""
    start = torch.maximum(first[:, None, :2], second[None, :, :2])
    end = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    inside = (end - start).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return inside / (areas[0][:, None] + areas[1][None] - inside + 1e-6)
