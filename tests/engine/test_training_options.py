"""Options of a training step: what they preserve, change and refuse."""

import shutil

import pytest
import torch

from a2u.config import compose
from a2u.engine.fit import match_parameter_layout
from a2u.engine.identity import identity
from a2u.engine.prepare import check, prepare
from a2u.errors import ConfigError
from a2u.losses import gradient_loss, laplacian_loss, matting_loss
from a2u.models.layers import NormActivation

SMALL = ["scale=smoke", "dataset.cache=null", "upsampler=a2u", "runtime.progress=false", "model.dropout=0"]


def gradients(*overrides, batch_size=4):
    """Of the first step."""
    cfg = compose([*SMALL, f"trainer.batch_size={batch_size}", *overrides])
    parts = prepare(cfg)
    parts.task.training_mode(cfg, parts.model)
    batch = next(parts.task.batches(cfg, epoch=0, done=0))
    loss = parts.task.step(cfg, parts.model)(batch)
    return loss, {name: value.grad for name, value in parts.model.named_parameters() if value.grad is not None}


def assert_same(found, expected, tolerance):
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance)
    assert found[1].keys() == expected[1].keys()
    for name, value in expected[1].items():
        torch.testing.assert_close(found[1][name], value, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("option", ["runtime.channels_last=false", "runtime.recompute=true"])
def test_layout_and_memory_change_rounding_alone(option):
    assert_same(gradients(option), gradients(), tolerance=2e-3)


def test_recompute_reaches_the_norms():
    cfg = compose([*SMALL, "runtime.recompute=true"])
    parts = prepare(cfg)
    parts.task.training_mode(cfg, parts.model)
    norms = [part for part in parts.model.modules() if isinstance(part, NormActivation)]
    assert norms
    assert all(norm.recompute for norm in norms)


def test_parts_of_a_batch_add_up_where_norms_are_fixed(monkeypatch):
    """With norms in evaluation, samples do not see each other: a batch is the mean of its parts."""
    from a2u.engine.tasks.matting import Matting

    monkeypatch.setattr(Matting, "training_mode", lambda self, cfg, model: model.eval())
    assert_same(gradients("trainer.accumulate=2"), gradients(), tolerance=1e-4)


def test_parts_of_a_batch_normalise_by_themselves():
    assert gradients("trainer.accumulate=2")[0] != gradients()[0]


def test_bfloat16_is_near_and_keeps_weights_single():
    loss, grads = gradients("trainer.precision=bfloat16")
    expected, _ = gradients()
    assert loss.dtype == torch.float32
    assert loss != expected
    torch.testing.assert_close(loss, expected, rtol=0.05, atol=0)
    assert all(grad.dtype == torch.float32 for grad in grads.values())


def test_the_laplacian_loss_is_that_of_the_predictions():
    cfg = compose([*SMALL, "trainer.loss=laplacian"])
    parts = prepare(cfg)
    parts.task.training_mode(cfg, parts.model)
    batch = next(parts.task.batches(cfg, epoch=0, done=0))
    expected = laplacian_loss(parts.model(batch["input"]), batch["alpha"], batch["unknown"])
    assert parts.task.step(cfg, parts.model)(batch) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_further_losses_are_added_by_weight():
    options = ("trainer.laplacian_weight=0.5", "trainer.gradient_weight=0.25")
    cfg = compose([*SMALL, "trainer.batch_size=4", *options])
    parts = prepare(cfg)
    parts.task.training_mode(cfg, parts.model)
    batch = next(parts.task.batches(cfg, epoch=0, done=0))
    compared = (parts.model(batch["input"]), batch["alpha"], batch["unknown"])
    total = matting_loss(*compared, *(batch[key] for key in ("fg", "bg", "image")))
    total = total + 0.5 * laplacian_loss(*compared) + 0.25 * gradient_loss(*compared)
    assert parts.task.step(cfg, parts.model)(batch) == pytest.approx(float(total.detach()), rel=1e-5)


def test_only_what_changes_numbers_belongs_to_a_runs_identity():
    plain = identity(compose(SMALL))
    for option in ("runtime.channels_last=false", "runtime.recompute=true", "runtime.compile=true"):
        assert identity(compose([*SMALL, option])) == plain
    for option in ("trainer.accumulate=2", "trainer.precision=bfloat16", "trainer.loss=laplacian"):
        assert identity(compose([*SMALL, option])) != plain
    defaults = ("trainer.accumulate=1", "trainer.precision=float32", "trainer.loss=matting")
    later = ["trainer.ema=0", "trainer.laplacian_weight=0", "trainer.gradient_weight=0", "sample.brush=0"]
    assert identity(compose([*SMALL, *later, "sample.brush_max=51", "sample.camera=false"])) == plain
    for default in defaults:  # runs from before there were these options
        assert identity(compose([*SMALL, default])) == plain


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.batch_size=4", "trainer.accumulate=3"], "accumulate must divide trainer.batch_size.*3 and 4"),
        (["runtime.recompute=true", "trainer.precision=bfloat16"], "too few digits"),
        (["sample.version=1"], "sample.version is 1, and this program draws samples of version 2"),
        (["trainer.accumulate=0"], "trainer.accumulate must be at least 1"),
        (
            ["trainer.batch_size=4", "trainer.accumulate=4", "model.aspp=true"],
            "trainer.accumulate=4, one sample a part.*pyramid pooling",
        ),
    ],
)
def test_impossible_parts_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(compose([*SMALL, *overrides]))


@pytest.mark.parametrize("last", [False, True])
def test_a_resume_in_another_memory_layout_steps_as_adam_does(last):
    """The fused Adam reads weights and moments as they lie in memory."""
    torch.manual_seed(0)
    start, grads = torch.randn(6, 5, 3, 3), torch.randn(2, 6, 5, 3, 3)

    def parameter(channels_last):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return torch.nn.Parameter(start.clone().contiguous(memory_format=layout))

    def step(weight, optimizer, grad):
        weight.grad = torch.empty_like(weight).copy_(grad)
        optimizer.step()

    plain = parameter(last)
    expected = torch.optim.Adam([plain], lr=0.1)
    first = parameter(last)
    before = torch.optim.Adam([first], lr=0.1, fused=True)
    for weight, optimizer in ((plain, expected), (first, before)):
        step(weight, optimizer, grads[0])
    resumed = parameter(not last)
    with torch.no_grad():
        resumed.copy_(first)
    after = torch.optim.Adam([resumed], lr=0.1, fused=True)
    after.load_state_dict(before.state_dict())
    match_parameter_layout(after)
    for weight, optimizer in ((plain, expected), (resumed, after)):
        step(weight, optimizer, grads[1])
    torch.testing.assert_close(resumed, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_step_gives_the_same():
    """The loop of fit wraps the network so."""
    cfg = compose([*SMALL, "trainer.batch_size=4"])
    parts = prepare(cfg)
    parts.task.training_mode(cfg, parts.model)
    batch = next(parts.task.batches(cfg, epoch=0, done=0))
    compiled = parts.task.step(cfg, torch.compile(parts.model))(batch)
    torch.testing.assert_close(compiled, gradients()[0], rtol=1e-4, atol=1e-4)
