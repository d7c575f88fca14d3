"""The rows of Table 2 on a GPU give what they give on a CPU in float64."""

import copy

import pytest
import torch

from a2u.config import compose
from a2u.engine.prepare import channels_last, make_model
from a2u.reproduce.published import rows_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def values(model, x):
    """Prediction, and gradients of all parameters, in float64 on the CPU."""
    model.zero_grad(set_to_none=True)
    y = model.train()(x)
    y.square().mean().backward()
    return [each.double().cpu() for each in (y.detach(), *(parameter.grad for parameter in model.parameters()))]


@pytest.mark.parametrize("row", [row for row in rows_of("table2") if row != "trimap_only"])
@pytest.mark.parametrize("last", [False, True])
def test_a_row_computes_the_same(row, last):
    model = make_model(compose([f"experiment=table2/{row}", "scale=lite"]))
    exact = copy.deepcopy(model).double()
    if last:
        channels_last(model)
    torch.manual_seed(0)
    x = torch.randn(2, 4, 96, 64)
    expected = values(exact, x.double())
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = values(model.cuda(), x.cuda())
    # wide, since a rectifier's input may be rounded past zero; tests/upsampling/test_encoding.py is close
    largest = max(float(each.norm()) for each in expected[1:])
    for mine, right in zip(found, expected, strict=True):
        assert float((mine - right).norm()) < 2e-2 * max(float(right.norm()), 1e-2 * largest)
