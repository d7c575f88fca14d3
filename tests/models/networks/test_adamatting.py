"""The reading of AdaMatting: parameters, what each decoder reads, its loss, the places for operators."""

import pytest
import torch
import torch.nn.functional as F

from a2u.config import compose
from a2u.engine.prepare import check, prepare
from a2u.errors import NoPlaceError
from a2u.models.build import count_parameters
from a2u.models.networks.adamatting import AdaMatting, GlobalConvolution, PropagationUnit
from a2u.upsampling import operators

PARTS = {
    "encoder": 8_546_432,  # torchvision's ResNet-50 up to layer3, and 64 7x7 kernels for the trimap
    "shortcuts": 28 * (512**2 + 256**2 + 64**2) + 4 * (512 + 256 + 64),
    "trimap_decoder": 6_086_083,
    "alpha_decoder": 6_086_083 - 2 * (9 * 64 + 1),  # one channel instead of three
    "propagation": 104_673,
    "upsamplers": 2 * sum(4 * (9 * count + 1) * count for count in (512, 256, 64, 64)),
}
OPERATORS = sorted(name for name, operator in operators().items() if operator.__module__.startswith("a2u."))


def tiny(*arguments, **options):
    torch.manual_seed(0)
    return AdaMatting(*arguments, width=0.125, **options)


def test_parameters():
    with torch.device("meta"):
        model = AdaMatting()
    assert {name: count_parameters(part) for name, part in model.named_children()} == PARTS
    assert count_parameters(model) == sum(PARTS.values()) + 2 == 54_305_127


def test_the_encoder_has_the_tensors_of_torchvision_s_resnet50():
    from torchvision.models import resnet50

    with torch.device("meta"):
        encoder, theirs = AdaMatting().encoder, resnet50().state_dict()
    of_later = tuple(name for name in theirs if name.startswith(("layer4.", "fc.")))
    shapes = {name: value.shape for name, value in theirs.items() if name not in of_later}
    shapes["conv1.weight"] = torch.Size([64, 4, 7, 7])
    assert {encoder.torchvision_name(name): value.shape for name, value in encoder.state_dict().items()} == shapes


def test_alpha_is_pasted_where_the_adapted_trimap_is_known():
    model, x = tiny().eval(), torch.rand(1, 4, 32, 48)
    raw, trimap, _ = model(x, for_loss=True)
    alpha = model(x)
    assert trimap.argmax(1).unique().tolist() == [0, 1, 2]
    for index, pixels in enumerate((torch.zeros_like(raw), raw, torch.ones_like(raw))):
        here = trimap.argmax(dim=1, keepdim=True) == index
        torch.testing.assert_close(alpha[here], pixels[here], rtol=0, atol=0)


def test_each_decoder_has_its_shortcuts():
    model = tiny()
    outputs = {"trimap": model(torch.rand(1, 4, 32, 32), for_loss=True)[1]}
    seen = model.alpha_decoder.register_forward_hook(lambda *call: outputs.update(alpha=call[2]))
    model(torch.rand(1, 4, 32, 32))
    seen.remove()
    deep, middle, shallow = (shortcut.paths[0][0].weight for shortcut in model.shortcuts)
    read = {
        name: [each is not None for each in torch.autograd.grad(y.sum(), (deep, middle, shallow), allow_unused=True)]
        for name, y in outputs.items()
    }
    assert read == {"trimap": [True, True, False], "alpha": [False, True, True]}


def test_a_global_convolution_is_the_sum_of_two_separable_ones_of_7x7():
    layer, x = GlobalConvolution(3).double(), torch.rand(1, 3, 9, 8, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for (first, second), product in zip(layer.paths, ("omx,miy->oiyx", "omy,mix->oiyx"), strict=True):
        torch.nn.init.zeros_(first.bias)  # at the border the second convolution would not see it
        kernel = torch.einsum(product, second.weight.flatten(2), first.weight.flatten(2))
        expected += F.conv2d(x, kernel, second.bias, padding=3)
    torch.testing.assert_close(layer(x), expected)


def test_the_propagation_unit_equals_an_lstm_written_out():
    unit = PropagationUnit(4, 2, 3).double().eval()
    context, alpha = torch.rand(2, 3, 5, 6, dtype=torch.float64), torch.rand(2, 1, 5, 6, dtype=torch.float64)
    found = unit(context, alpha)
    hidden = memory = torch.zeros(2, 2, 5, 6, dtype=torch.float64)
    weights, biases = unit.gates.weight.split(2), unit.gates.bias.split(2)
    for _ in range(3):
        seen = torch.cat([unit.features(torch.cat([context, alpha], 1)), hidden], 1)
        i, f, o, g = (F.conv2d(seen, weight, bias, padding=1) for weight, bias in zip(weights, biases, strict=True))
        memory = memory / (1 + (-f).exp()) + g.tanh() / (1 + (-i).exp())
        hidden = memory.tanh() / (1 + (-o).exp())
        alpha = 1 / (1 + (-unit.prediction(hidden)).exp())
    torch.testing.assert_close(found, alpha)


def test_its_loss_falls_at_smoke_and_reaches_every_parameter():
    cfg = compose(["experiment=table5/adamatting_reading", "scale=smoke", "dataset.cache=null"])
    run = prepare(cfg)
    run.task.training_mode(cfg, run.model)
    batch = next(run.task.batches(cfg, epoch=0, done=0))
    optimizer, step = run.task.optimizer(cfg, run.model), run.task.step(cfg, run.model)
    losses = []
    for _ in range(6):
        losses.append(float(step(batch)))
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(parameter.grad is not None for parameter in run.model.parameters())


def test_network_and_loss_go_together():
    with pytest.raises(NoPlaceError, match=r"model=adamatting adapts the trimap, so trainer\.loss=laplacian cannot"):
        check(compose(["model=adamatting", "trainer.loss=laplacian"]))
    with pytest.raises(
        NoPlaceError, match=r"model=resnet34_unet does not adapt the trimap, .* set trainer\.loss=matting"
    ):
        check(compose(["trainer.loss=adaptation"]))


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_fits_or_is_refused(name):
    if operators()[name](8).paired:
        with pytest.raises(ValueError, match=r"no place for paired downsampling"):
            tiny(name)
        return
    model = tiny(name).eval()
    assert model(torch.rand(1, 4, 16, 32)).shape == (1, 1, 16, 32)


def test_one_seed_gives_the_same_network_around_any_operator():
    without, with_one = tiny("nearest").state_dict(), tiny("a2u").state_dict()
    assert all(torch.equal(with_one[name], value) for name, value in without.items())


def test_impossible_iterations_are_refused():
    with pytest.raises(ValueError, match=r"model\.iterations must be at least 1; got 0"):
        tiny(iterations=0)
