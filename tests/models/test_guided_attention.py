"""Guided contextual attention: against a loop over positions, however many queries at a time, in bounded memory."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from a2u.models.guided_attention import SELF_PENALTY, GuidedContextualAttention, attend


def mirrored_patch(x, row, column, size):
    """size x size patch of x (C, H, W) whose top left lies at (row, column), mirrored at the borders."""

    def inside(index, length):
        index = -index if index < 0 else index
        return 2 * (length - 1) - index if index >= length else index

    rows = [inside(row + i, x.shape[1]) for i in range(size)]
    columns = [inside(column + j, x.shape[2]) for j in range(size)]
    return x[:, rows][:, :, columns]


def slow(module, feature, guide, unknown):
    """One sample, position by position, from the description of the operator."""
    channels, height, width = feature.shape
    h, w = height // 2, width // 2
    similar = F.conv2d(guide[None], module.guidance.weight, module.guidance.bias)[0, :, ::2, ::2]
    small = unknown[:, ::2, ::2]
    share = small.mean()
    positions = [(i, j) for i in range(h) for j in range(w)]
    keys = [mirrored_patch(similar, i - 1, j - 1, 3) for i, j in positions]
    is_unknown = [bool(mirrored_patch(small, i - 1, j - 1, 3).max() > 0) for i, j in positions]
    scale = [float(((share / (1 - share)) ** (0.5 if known else -0.5)).clamp(0.1, 10)) for known in is_unknown]
    out = torch.zeros(channels, height + 2, width + 2, dtype=feature.dtype)  # a border of 1 that is cut
    for query, (i, j) in enumerate(positions):
        logits = torch.stack(
            [
                (keys[query] * key).sum() / key.norm().clamp_min(1e-4) * scale[number]
                - (SELF_PENALTY if number == query and is_unknown[number] else 0)
                for number, key in enumerate(keys)
            ]
        )
        weights = logits.softmax(0)
        patch = sum(
            weight * mirrored_patch(feature, 2 * a - 1, 2 * b - 1, 4)
            for weight, (a, b) in zip(weights, positions, strict=True)
        )
        out[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += patch
    return feature + module.project(out[None, :, 1:-1, 1:-1] / 4)[0]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_equals_a_loop_over_positions(share):
    torch.manual_seed(1)
    module = GuidedContextualAttention(3, 4).double().eval()
    torch.nn.init.normal_(module.project[1].weight)
    feature, guide = torch.randn(2, 3, 6, 8).double(), torch.randn(2, 4, 6, 8).double()
    unknown = (torch.rand(2, 1, 6, 8) < share).double()
    with torch.no_grad():
        found = module(feature, guide, unknown)
        for sample in range(2):
            torch.testing.assert_close(found[sample], slow(module, feature[sample], guide[sample], unknown[sample]))


@pytest.mark.parametrize("logits", [1, 13, 60, 10_000])
def test_the_number_of_queries_at_a_time_changes_nothing(logits):
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 2, 7, 5).double()
    penalty = torch.rand(2, 7).double() * 5
    whole = (queries @ keys.transpose(1, 2) - torch.diag_embed(penalty)).softmax(2) @ values
    inputs = [queries.requires_grad_(), keys.requires_grad_(), values.requires_grad_(), penalty.requires_grad_()]
    found = attend(*inputs, logits=logits)
    torch.testing.assert_close(found, whole)
    for ours, expected in zip(torch.autograd.grad(found.square().sum(), inputs), gradients(inputs), strict=True):
        torch.testing.assert_close(ours, expected)


def gradients(inputs):
    queries, keys, values, penalty = inputs
    whole = (queries @ keys.transpose(1, 2) - torch.diag_embed(penalty)).softmax(2) @ values
    return torch.autograd.grad(whole.square().sum(), inputs)


@pytest.mark.slow
def test_gca_mattes_a_1080p_image_within_8_gb():
    """The attention has 8,160 x 8,160 similarities there; a process of its own, so that its peak can be read."""
    code = (
        "import torch, resource\n"
        "from a2u.models.networks.gca import GCA\n"
        "model = GCA().eval()\n"
        "with torch.inference_mode(): y = model(torch.zeros(1, 4, 1088, 1920))\n"
        "assert y.shape == (1, 1, 1088, 1920)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    unit = 1 if sys.platform == "darwin" else 1024  # bytes, or KiB
    assert int(ended.stdout) * unit < 8e9
