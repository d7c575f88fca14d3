"""What every network of src/a2u/models/networks promises, whoever wrote it."""

import pytest
import torch

from a2u.config import CONFIG_DIR, compose
from a2u.engine.prepare import make_model
from a2u.errors import ConfigError
from a2u.models.networks import networks

NETWORKS = [name for name, network in networks().items() if network.__module__.startswith("a2u.")]
SMALL = {"reconstruction": 1, "probe": 4}  # input channels of the networks that make no mattes
every_network = pytest.mark.parametrize("name", NETWORKS)


def built(name):
    if name in SMALL:  # tasks of that name
        model = make_model(compose([f"task={name}", "upsampler=indexnet", "scale=smoke"]))
        return model, (SMALL[name], 8)
    model = make_model(compose([f"model={name}", "scale=smoke"]))
    return model, (4, max(16, model.multiple))


@every_network
def test_it_has_a_config_and_its_constructor_is_its_schema(name):
    assert (CONFIG_DIR / "model" / f"{name}.yaml").is_file()
    with pytest.raises(ConfigError, match=r"unknown configuration key model\.nonsense; allowed here: name, "):
        compose(["model=" + name, "model.nonsense=1"])


@every_network
def test_it_keeps_the_size_and_learns_in_every_part(name):
    model, (channels, multiple) = built(name)
    for height, width in ((2, 2), (3, 5)):
        x = torch.rand(2, channels, height * multiple, width * multiple)
        if not networks()[name].trained:
            return
        y = model.train()(x)
        assert y.shape == (2, 1, *x.shape[2:])
        outputs = model(x, for_loss=True) if getattr(model, "adapts_trimap", False) else [y]
        sum(part.square().mean() for part in outputs).backward()
        assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    with torch.no_grad():
        assert model.eval()(x[:1]).shape == (1, 1, *x.shape[2:])


@every_network
def test_an_input_it_does_not_take_is_refused_in_a_sentence(name):
    model, (channels, multiple) = built(name)
    with pytest.raises(ValueError, match="got"):
        model.eval()(torch.zeros(1, channels + 1, 4 * multiple, 4 * multiple))
