"""Names and layout of the Context-Aware Matting program, which is one for TensorFlow."""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from a2u.models.layers import ConvNorm
from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.context_aware import ContextAware
from a2u.network_input import plain_array

# Theirs from ours: every pattern is replaced, then dots by slashes.
RENAMED = [
    (r"^encoder\.detail\.", "patch.encoder."),
    (r"^encoder\.context\.", "comp.encoder."),
    *((rf"\.stem\.{number}$", f".xception_65.entry_flow.conv1_{number + 1}") for number in range(2)),
    *((rf"\.entry\.{number}\.", f".xception_65.entry_flow.block{number + 1}.unit_1.") for number in range(3)),
    *((rf"\.middle\.{number}\.", f".xception_65.middle_flow.block1.unit_{number + 1}.") for number in range(16)),
    *((rf"\.exit\.{number}\.", f".xception_65.exit_flow.block{number + 1}.unit_1.") for number in range(2)),
    *((rf"\.separable\.{number}\.", f".xception_module.separable_conv{number + 1}_") for number in range(3)),
    (r"\.shortcut$", ".xception_module.shortcut"),
    (r"\.aspp\.point$", ".aspp0"),
    *((rf"\.aspp\.dilated\.{number}$", f".aspp{number + 1}") for number in range(3)),
    (r"\.aspp\.whole\.1$", ".image_pooling"),
    (r"\.aspp\.reduce$", ".concat_projection"),
    (r"^context_decoder\.reduce$", "comp_proj.comp_proj_1"),
    (r"^context_decoder\.project$", "comp.seg_decoder.decoder.feature_projection0"),
    *((rf"^context_decoder\.refine\.{n}\.", f"comp.seg_decoder.decoder.decoder_conv{n}_proj0_") for n in range(2)),
    (r"^alpha_decoder\.heads\.", "logits.logits.patch_mat_logits_"),
    (r"^colour_decoder\.heads\.", "logits.logits.patch_seg_logits_"),
    (r"^alpha_decoder\.levels\.", "patch.mat_decoder.decoder."),
    (r"^colour_decoder\.levels\.", "patch.seg_decoder.decoder."),
    (r"\.(\d)\.project$", r".feature_projection\1"),
    *((rf"\.(\d)\.refine\.{number}$", rf".decoder_conv\1.decoder_conv\1_{number + 1}") for number in range(2)),
]
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
KINDS = {"weights", "depthwise_weights", "biases", *NORM.values()}


def network(given: Mapping[str, Tensor]) -> MattingNetwork:
    return ContextAware(colour=any(name.startswith("patch/seg_decoder/") for name in given))


def sources(model: nn.Module) -> dict[str, list[str]]:
    """For every tensor of our network, batch counters apart, its name in the released program."""
    names = {}
    for name, part in model.named_modules():
        theirs = _theirs(name)
        if isinstance(part, ConvNorm):
            kind = "depthwise_weights" if theirs.endswith("depthwise") else "weights"
            names[f"{name}.0.weight"] = [f"{theirs}/{kind}"]
            names |= {f"{name}.1.0.{key}": [f"{theirs}/BatchNorm/{value}"] for key, value in NORM.items()}
        elif isinstance(part, nn.Conv2d) and part.bias is not None:
            names |= {f"{name}.weight": [f"{theirs}/weights"], f"{name}.bias": [f"{theirs}/biases"]}
    return names


def prepare(given: Mapping[str, np.ndarray | Tensor]) -> dict[str, Tensor]:
    """Convolutions in PyTorch's layout; step counters, an optimiser's values and averages are left out."""
    tensors = {}
    for name, value in given.items():
        kind = name.rpartition("/")[2]
        if kind not in KINDS:
            continue
        tensor = torch.as_tensor(plain_array(value, name) if isinstance(value, np.ndarray) else value)
        if tensor.dim() == 4:  # (h, w, in, out), depthwise (h, w, C, 1)
            tensor = tensor.permute(2, 3, 0, 1) if kind == "depthwise_weights" else tensor.permute(3, 2, 0, 1)
        if name.endswith("/concat_projection/weights"):  # reads the pooled branch first, ours last
            pooled = tensor.shape[1] // 5
            tensor = tensor.roll(-pooled, dims=1)
        tensors[name] = tensor.contiguous()
    return tensors


def _theirs(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name.replace(".", "/")
