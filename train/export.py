"""Write the weights file of the package from a checkpoint.

    python train/export.py CHECKPOINT proxy/data/models/subject_net.xz

Then put the printed SHA-256 into ``proxy/smartcrop/subject_net_weights.py``, and raise the version
of the subject net in ``proxy/smartcrop/registry.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
from pathlib import Path

import torch
from network import SubjectNet


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the weights file of the package.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    net = SubjectNet()
    net.load_state_dict(torch.load(options.checkpoint, weights_only=True)["mean"])
    compressed = lzma.compress(pack(net), preset=9 | lzma.PRESET_EXTREME)
    options.out.write_bytes(compressed)
    print(f"{len(compressed)} bytes, SHA-256 {hashlib.sha256(compressed).hexdigest()}")


def pack(net: SubjectNet) -> bytes:
    """The layers as `proxy.smartcrop.subject_net_weights` describes them."""
    packed = bytearray()
    for conv in net.convs():
        weight = conv.weight.detach()
        if conv is net.stem:
            weight = weight * 255  # the package feeds 0 to 1, so that float16 holds the scales
        scales = weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / conv.largest
        integers = torch.round(weight / scales[:, None, None, None]).to(torch.int8)
        for values, dtype in ((scales, "<f2"), (conv.bias.detach(), "<f2"), (integers, "i1")):
            packed += values.numpy().astype(dtype).tobytes()
    return bytes(packed)


if __name__ == "__main__":
    main()
