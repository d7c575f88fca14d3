"""Reconstruction as a task: every row learns, batches, resume, evaluation, logs."""

import json
from functools import cache

import pytest
import torch
from helpers.pictures import random_pictures
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.config import compose
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.cuda_graph import CapturedStep
from a2u.engine.fit import DivergedError
from a2u.engine.identity import Places
from a2u.engine.prepare import check, make_model
from a2u.engine.run import run
from a2u.engine.tasks import reconstruction as reconstruction_module
from a2u.engine.tasks.reconstruction import Reconstruction
from a2u.errors import ConfigError
from a2u.metrics import ImageMetrics
from a2u.reproduce.published import named_rows, rows_of


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """Replace every dataset by random pictures."""
    monkeypatch.setattr(reconstruction_module, "build_data", lambda cfg: random_pictures())


def small(outputs, *overrides):
    cfg = _small(*overrides).copy()
    cfg.runtime.outputs = str(outputs)
    return cfg


@cache
def _small(*overrides):
    base = ["task=reconstruction", "scale=smoke", "runtime.progress=false", "runtime.threads=1", "runtime.device=cpu"]
    return compose([*base, *overrides])


OFTEN = ("conv_nearest", "maxpool_a2u", "maxpool_sapa_b")  # the others are long form
ROWS = [*rows_of("table1"), *named_rows("table1")]


@pytest.mark.parametrize("row", [pytest.param(row, marks=[] if row in OFTEN else pytest.mark.slow) for row in ROWS])
def test_every_row_learns(row, tmp_path):
    cfg = small(tmp_path, f"experiment=table1/{row}", "trainer.batch_size=20")
    task = Reconstruction(cfg.dataset, cfg.metrics, torch.device("cpu"))
    model = make_model(cfg)
    task.prepare_training(cfg, model)
    optimizer = task.optimizer(cfg, model)
    task.training_mode(cfg, model)
    backward = task.step(cfg, model)
    losses = []
    before = [parameter.clone() for parameter in model.upsamplers.parameters()]
    for epoch in range(6):
        for batch in task.batches(cfg, epoch, 0):
            losses.append(float(backward(batch)))
            optimizer.step()
    assert len(losses) == 18
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3]), losses
    if row != "maxpool_carafe":  # whose one weight is 1, whatever generates it
        assert not any(map(torch.equal, before, model.upsamplers.parameters())), (
            "a part of the operator learned nothing"
        )


def test_batches_are_every_picture_once_in_an_order_of_their_own():
    cfg = small("unused")
    task = Reconstruction(cfg.dataset, cfg.metrics, torch.device("cpu"))
    task.prepare_training(cfg, make_model(cfg))
    assert task.steps_per_epoch == 6
    first, again, second = (torch.cat(list(task.batches(cfg, epoch, 0))) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(first.flatten(1).double().sum(1).sort()[0], task.train.flatten(1).double().sum(1).sort()[0])
    assert torch.equal(torch.cat(list(task.batches(cfg, 0, 4))), first[40:])  # what a resume leaves out
    cfg.seed = 1
    assert not torch.equal(torch.cat(list(task.batches(cfg, 0, 0))), first)


def test_a_rest_smaller_than_a_batch_is_left_out():
    cfg = small("unused", "trainer.batch_size=50")
    task = Reconstruction(cfg.dataset, cfg.metrics, torch.device("cpu"))
    task.prepare_training(cfg, make_model(cfg))
    assert [len(batch) for batch in task.batches(cfg, 0, 0)] == [50]


def test_a_batch_larger_than_the_training_set_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.batch_size=61 is more than the 60 training pictures"):
        run(small(tmp_path / "out", "trainer.batch_size=61"))
    assert not (tmp_path / "out").exists()


def test_the_loss_is_l1_on_values_in_0_to_1():
    task = Reconstruction(small("unused").dataset, small("unused").metrics, torch.device("cpu"))
    batch = torch.tensor([0, 51, 255, 102], dtype=torch.uint8).view(1, 1, 2, 2)
    assert task.loss(torch.zeros_like, batch) == pytest.approx((0 + 0.2 + 1 + 0.4) / 4)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("reconstruction")


def test_a_run_gives_a_whole_result(outputs):
    cfg = small(outputs, "experiment=table1/maxpool_a2u", "trainer.epochs=4", "trainer.milestones=[1,3]")
    cfg.trainer.evaluate_every = 4
    result = run(cfg)
    assert list(result["metrics"]) == ["psnr", "ssim", "rmse", "mae"]
    assert [score["epoch"] for score in result["curve"]] == [1, 3, 4]  # before each fall of the rate, and at the end
    assert result["curve"][-1] | {"epoch": 4} == {"epoch": 4} | result["metrics"]
    assert result["best"]["psnr"] == max(score["psnr"] for score in result["curve"])
    provenance = result["provenance"]
    assert (provenance["steps"], provenance["train_images"], provenance["test_images"]) == (24, 60, 20)
    assert provenance["samples_per_second"] > 0
    assert json.loads(Places.of(cfg).result.read_text()) == result
    assert run(cfg) == result | {"path": str(Places.of(cfg).result)}  # not run again


def test_a_run_starts_from_given_weights_and_says_what_it_takes(tmp_path, capsys):
    first = small(tmp_path, "trainer.epochs=1")
    run(first)
    words = ["trainer.epochs=1", "trainer.lr=1e-30", "trainer.weight_decay=0"]  # which change no weight
    second = small(tmp_path, *words, f"init_from='{Places.of(first).last}'")
    run(second)
    report = Places.of(second).start.read_text()
    assert "tensors are taken, " in report
    assert report in capsys.readouterr().err
    started, given = (load_checkpoint(Places.of(cfg).last)["model"] for cfg in (second, first))
    assert all(torch.equal(started[name], given[name]) for name in given if name.endswith("weight"))


def test_the_metrics_are_those_of_the_saved_network(outputs):
    cfg = small(outputs, "experiment=table1/maxpool_indexnet_hin")
    result = run(cfg)
    model = make_model(cfg)
    model.load_state_dict(load_checkpoint(Places.of(cfg).last)["model"])
    test = random_pictures().test.float() / 255
    metrics = ImageMetrics()
    with torch.inference_mode():
        metrics.update(model.eval()(test), test)
    assert metrics.mean() == pytest.approx(result["metrics"], rel=1e-5)


def test_tensorboard_has_curves_and_a_strip_at_every_evaluation(outputs):
    cfg = small(outputs, "upsampler=nearest", "runtime.log_every=1")
    run(cfg)
    events = EventAccumulator(str(Places.of(cfg).folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("test/psnr")] == [6, 12]
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 13))
    strips = events.Images("test/reconstruction")
    assert [strip.step for strip in strips] == [6, 12]
    assert (strips[0].width, strips[0].height) == (16 * 32, 2 * 32)  # pictures above reconstructions


def test_predictions_are_saved_when_asked(outputs):
    cfg = small(outputs, "upsampler=bilinear", "runtime.save_predictions=true")
    run(cfg)
    assert len(list((Places.of(cfg).folder / "predictions").glob("*.png"))) == 20


def test_clamping_is_an_option(outputs, monkeypatch):
    cfg = small(outputs)
    task = Reconstruction(
        cfg.dataset, compose(["task=reconstruction", "metrics.clamp=true"]).metrics, torch.device("cpu")
    )
    assert task.evaluate(Scaled(3.0), None, lambda *_: None)["mae"] < 0.4
    task.how.clamp = False
    assert task.evaluate(Scaled(3.0), None, lambda *_: None)["mae"] > 0.9


class Scaled(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Killed(BaseException):
    """Simulate a SIGKILL: nothing catches it."""


@pytest.fixture(scope="module")
def whole(outputs):
    """A run without interruption: its configuration and result."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction_module, "build_data", lambda cfg: random_pictures())
        cfg = small(outputs / "whole", "upsampler=a2u")
        return cfg, run(cfg)


@pytest.mark.parametrize("killed_after", [2, 6])
def test_a_killed_run_ends_as_if_it_had_never_been_killed(tmp_path, monkeypatch, whole, killed_after):
    unharmed, result = whole
    parts = small(tmp_path, "upsampler=a2u", "runtime.checkpoint_seconds=0")
    loss, calls = Reconstruction.loss, []

    def dies(self, model, batch):
        if len(calls) == killed_after:
            raise Killed
        calls.append(1)
        return loss(self, model, batch)

    monkeypatch.setattr(Reconstruction, "loss", dies)
    with pytest.raises(Killed):
        run(parts)
    monkeypatch.setattr(Reconstruction, "loss", loss)
    resumed = run(parts)
    expected, found = (load_checkpoint(Places.of(cfg).last)["model"] for cfg in (unharmed, parts))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert resumed["metrics"] == result["metrics"]


def test_a_loss_that_is_no_number_stops_with_step_and_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Reconstruction, "loss", lambda self, model, batch: next(model.parameters()).sum() * float("nan")
    )
    with pytest.raises(DivergedError, match=r"the loss became nan at step 1, learning rate 0\.01\. Lower trainer\.lr"):
        run(small(tmp_path, "upsampler=nearest"))


def test_a_trained_network_is_evaluated_on_another_dataset(outputs):
    cfg = small(outputs, "upsampler=nearest")
    run(cfg)
    weights = f"weights='{Places.of(cfg).last}'"
    result = evaluate_weights(
        compose([weights, f"runtime.outputs='{outputs}'", "dataset=fashion_mnist", "metrics=image"], "evaluate")
    )
    assert list(result["metrics"]) == ["psnr", "ssim", "rmse", "mae"]
    with pytest.raises(
        ConfigError, match=r"dataset=synthetic is for matting, but the network in .* is for reconstruction"
    ):
        evaluate_weights(compose([weights, f"runtime.outputs='{outputs}'"], "evaluate"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["task=matting", "dataset=mnist5k"], "dataset=mnist5k is for reconstruction, but task=matting is for matting"),
        (["dataset=synthetic"], "dataset=synthetic is for matting, but task=reconstruction is for reconstruction"),
        (["model=resnet34_unet"], "model=resnet34_unet is for matting"),
        (["metrics=matlab"], "metrics as composed is for matting"),
        (["sample=matting"], "sample as composed is for matting"),
        (["trainer=matting"], "trainer as composed is for matting"),
        (["trainer.momentum=1"], "trainer.momentum must be below 1"),
        (["trainer.weight_decay=-1"], "trainer.weight_decay must be at least 0"),
        (["dataset.held_out=-1"], "dataset.held_out must be at least 0"),
        (["upsampler=max_unpool", "model.downsampling=conv"], "max_unpool downsamples by itself"),
        (["upsampler=a2u", "upsampler.up_kernel_size=1"], "kernel_norm=sigmoid"),
    ],
)
def test_what_does_not_fit_together_is_refused(overrides, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        check(compose(["task=reconstruction", "scale=smoke", *overrides]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("row", ROWS)
def test_a_captured_step_is_the_step(row):
    cfg = small("unused", f"experiment=table1/{row}")
    device = torch.device("cuda")
    task = Reconstruction(cfg.dataset, cfg.metrics, device)
    finals = []
    for captured in (False, True):
        model = make_model(cfg).to(device).train()
        task.prepare_training(cfg, model)
        optimizer = task.optimizer(cfg, model)
        step = CapturedStep(model, lambda batch, model=model: task.loss(model, batch))
        backward = step if captured else super(Reconstruction, task).step(cfg, model)
        # by TF32, and sums in an order that changes, the same step gives other values when it is run again
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            for batch in task.batches(cfg, 0, 0):
                loss = backward(batch).clone()
                optimizer.step()
        finals.append([loss, *model.state_dict().values()])
    for plain, graphed in zip(*finals, strict=True):
        torch.testing.assert_close(graphed, plain, rtol=1e-3, atol=1e-4)
