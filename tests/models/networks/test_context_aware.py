"""Context-Aware Matting: parameters, any size, the place for an operator. test_released.py has the values."""

import pytest
import torch

from a2u.losses import matting_loss
from a2u.models.build import count_parameters
from a2u.models.networks.context_aware import ContextAware
from a2u.network_input import stack_input
from a2u.upsampling import operators

TINY = {"width": 0.125, "middle_units": 1}
PARTS = {  # parameters, as the released graph counts them
    "encoder": 2 * 53_402_704,
    "context_decoder": 40_240 + 4_616,
    "alpha_decoder": 575_680 + 525,
    "colour_decoder": 575_680 + 1_575,
}
OPERATORS = sorted(name for name, operator in operators().items() if operator.__module__.startswith("a2u."))


def tiny(*arguments, **options):
    torch.manual_seed(0)
    return ContextAware(*arguments, **TINY, **options)


def test_parameters_are_those_of_the_released_graph():
    with torch.device("meta"):
        alpha, both = ContextAware(), ContextAware(colour=True)
    assert count_parameters(alpha) == 107_426_469  # printed: 107.5M
    assert count_parameters(both) == 108_003_724
    assert {name: count_parameters(part) for name, part in both.named_children()} == PARTS


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (40, 23)])
def test_any_size_is_padded_with_grey_background_and_cut_back(size):
    model = tiny().eval()
    image, trimap = torch.rand(2, 3, *size), torch.tensor([0, 128, 255])[torch.randint(3, (2, 1, *size))].float()
    height, width = (side + (1 - side) % 16 for side in size)
    canvas = torch.tensor([127.5, 127.5, 127.5, 0])[:, None, None].expand(2, 4, height, width).clone()
    canvas[..., : size[0], : size[1]] = torch.cat([255 * image, trimap], dim=1)
    expected = model.two_resolutions(canvas, canvas)[-1].sigmoid()
    assert expected.shape == (2, 1, height, width)
    torch.testing.assert_close(
        model(stack_input(image, trimap)), expected[..., : size[0], : size[1]], rtol=1e-4, atol=1e-5
    )


def test_the_context_may_be_smaller_than_the_image():
    model = tiny(colour=True).eval()
    logits = model.two_resolutions(255 * torch.rand(1, 4, 65, 49), 255 * torch.rand(1, 4, 33, 17))
    sides = [(17, 13), (17, 13), (17, 13), (33, 25), (65, 49)]
    assert [tuple(map_.shape) for map_ in logits] == [(1, channels, *side) for channels in (1, 3) for side in sides]


def learns(model, size):
    x = torch.cat([torch.randn(2, 3, *size), torch.full((2, 1, *size), 128 / 255)], dim=1)
    ones, colours = torch.ones(2, 1, *size), torch.rand(3, 2, 3, *size)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = matting_loss(model.train()(x), 0.8 * ones, ones, *colours[:2], 0.8 * colours[0] + 0.2 * colours[1])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[-1] < losses[0]


@pytest.mark.parametrize("size", [(32, 32), (33, 48)])
def test_it_learns_but_for_what_only_its_authors_train(size):
    model = tiny(colour=True)
    assert learns(model, size)
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    earlier_heads = {f"alpha_decoder.heads.{level}.{tensor}" for level in range(4) for tensor in ("weight", "bias")}
    colours = {name for name, _ in model.named_parameters() if name.startswith("colour_decoder.")}
    assert without == earlier_heads | colours
    assert without == {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def test_without_pyramid_pooling_a_single_sample_can_be_trained():
    tiny(aspp=False).train()(torch.rand(1, 4, 33, 33)).sum().backward()
    with pytest.raises(ValueError, match="at least 2 samples"):
        tiny().train()(torch.rand(1, 4, 33, 33))


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_fits_its_slot_or_is_refused(name):
    if operators()[name](8).paired:
        with pytest.raises(ValueError, match=r"no place for paired downsampling"):
            tiny(name, upsampler_slot=True)
        return
    model = tiny(name, upsampler_slot=True)
    assert model.train()(torch.rand(2, 4, 32, 48)).shape == (2, 1, 32, 48)
    assert model.eval()(torch.rand(1, 4, 17, 23)).shape == (1, 1, 17, 23)
    if name == "a2u":
        assert learns(model, (32, 32))
        assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_one_seed_gives_the_same_network_around_any_operator():
    without, with_one = tiny(upsampler_slot=True).state_dict(), tiny("carafe", upsampler_slot=True).state_dict()
    assert all(torch.equal(with_one[name], value) for name, value in without.items())


def test_an_operator_without_a_place_is_refused():
    with pytest.raises(ValueError, match=r"so upsampler=a2u would have no effect: .*model\.upsampler_slot=true"):
        tiny("a2u")
    with pytest.raises(ValueError, match=r"no place for paired downsampling"):
        tiny("a2u", {"paired": True}, upsampler_slot=True)
