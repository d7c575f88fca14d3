"""Index blocks against the released program."""

import itertools

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_tensor

from a2u.upsampling import build_upsampler
from a2u.upsampling.indexnet import spread

BLOCKS = {
    "HolisticIndexBlock": "holistic",
    "DepthwiseO2OIndexBlock": "depthwise_one_to_one",
    "DepthwiseM2OIndexBlock": "depthwise_many_to_one",
}


def released_state(operator, name, channels, seed=20221):
    """The released program's tensors (four branches) in our order (one convolution for all four)."""
    one_to_one = name.startswith("DepthwiseO2O")
    branches = [""] if name.startswith("Holistic") else ["1", "2", "3", "4"]
    linear_holistic = branches == [""] and len(operator.index) == 1
    state = {}
    for key, value in operator.state_dict().items():
        inner = key.removeprefix("index.")
        if key.endswith("num_batches_tracked"):
            state[key] = value
            continue
        shape = (value.shape[0] // len(branches), *value.shape[1:])
        theirs = [
            reference_tensor("indexnet.weight" if linear_holistic else f"indexnet{b}.{inner}", shape, seed)
            for b in branches
        ]
        # one-to-one: channel c*4 + t here, so the branches t interleave channel by channel
        stacked = torch.stack(theirs, dim=1) if one_to_one else torch.stack(theirs, dim=0)
        state[key] = stacked.flatten(0, 1)
    return state


@pytest.mark.parametrize(
    ("name", "nonlinear", "context"), list(itertools.product(BLOCKS, (False, True), (False, True)))
)
def test_equals_the_released_blocks(reference, name, nonlinear, context):
    data = np.load(reference / "indexnet" / f"{name}_nl{nonlinear:d}_ctx{context:d}.npz")
    operator = build_upsampler(
        "indexnet",
        8,
        block=BLOCKS[name],
        nonlinear=nonlinear,
        context=context,
        hidden=1,
        paired=True,
    ).double()
    operator.load_state_dict(released_state(operator, name, 8))
    operator.eval()
    with torch.no_grad():
        blocks = operator.index_blocks(torch.from_numpy(data["x"]))
    encode, decode = spread(blocks.softmax(2)), spread(blocks)
    np.testing.assert_allclose(encode, data["encode"], rtol=1e-9)
    np.testing.assert_allclose(decode, data["decode"], rtol=1e-9)


def test_upsampling_multiplies_the_nearest_neighbour():
    operator = build_upsampler("indexnet", 3).eval()
    x, guide = torch.randn(1, 3, 2, 3), torch.randn(1, 3, 4, 6)
    weights = spread(operator.index_blocks(guide))
    for i, j in np.ndindex(4, 6):
        torch.testing.assert_close(operator(x, guide)[:, :, i, j], x[:, :, i // 2, j // 2] * weights[:, :, i, j])


def test_paired_downsampling_is_a_weighted_sum_over_blocks():
    operator = build_upsampler("indexnet", 3, paired=True).eval()
    feature = torch.randn(2, 3, 4, 6)
    encode = spread(operator.index_blocks(feature).softmax(2))
    down, _ = operator.downsample(feature)
    for i, j in np.ndindex(2, 3):
        block = (slice(None), slice(None), slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        torch.testing.assert_close(down[:, :, i, j], (feature[block] * encode[block]).sum((2, 3)))
        torch.testing.assert_close(encode[block].sum((2, 3)), torch.ones(2, 3))
