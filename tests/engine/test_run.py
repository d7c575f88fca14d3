"""One run from configuration to result: learns, resumes exactly, never loses or mixes up results."""

import csv
import json
import shutil
import statistics
import subprocess
from functools import cache
from pathlib import Path

import cv2
import pytest
import torch
from helpers.runs import smoke
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from a2u.config import compose
from a2u.engine import provenance
from a2u.engine import run as run_module
from a2u.engine.checkpoint import CheckpointError, load_checkpoint
from a2u.engine.fit import DivergedError
from a2u.engine.identity import Places, finished, identity
from a2u.engine.prepare import check
from a2u.engine.run import run
from a2u.engine.tasks import matting as matting_module
from a2u.errors import ConfigError, DataError, NoPlaceError
from a2u.files import BusyError, locked
from a2u.models.build import build_model, count_parameters
from a2u.reproduce.published import rows_of
from a2u.settings import plain

OFTEN = ("nearest", "a2u_hybrid_cw", "a2u_dynamic_cs_d_norm")  # the others are long form
TRAINED_ROWS = [
    pytest.param(row, marks=[] if row in OFTEN else pytest.mark.slow)
    for row in rows_of("table2")
    if row != "trimap_only"
]
LEARNING = ["trainer.epochs=1", "trainer.iterations=50", "trainer.batch_size=4", "runtime.log_every=1"]


def losses(places):
    with places.history.open() as file:
        return [float(line["loss"]) for line in csv.DictReader(file)]


@pytest.mark.parametrize("row", TRAINED_ROWS)
def test_the_loss_of_every_row_falls(tmp_path, row):
    cfg = smoke(tmp_path, f"experiment=table2/{row}", *LEARNING, "dataset.limit_train=20")
    run(cfg)
    values = losses(Places.of(cfg))
    assert len(values) == 50
    assert statistics.fmean(values[-10:]) < 0.9 * statistics.fmean(values[:10])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def result(outputs):
    return run(smoke(outputs, "experiment=table2/a2u_dynamic_cs"))


def test_a_result_carries_everything_the_table_and_a_doubter_need(outputs, result):
    of_row = outputs / "table2" / "synthetic" / "smoke" / "a2u_dynamic_cs"
    path = of_row / f"seed0-{result['hash'][:8]}" / "result.json"
    assert json.loads(path.read_text()) == result
    expected = {"table": "table2", "row": "a2u_dynamic_cs", "dataset": "synthetic", "scale": "smoke", "seed": 0}
    assert expected.items() <= result.items()
    assert list(result["metrics"]) == ["sad", "mse", "grad", "conn"]
    assert result["best"]["sad"] <= result["metrics"]["sad"]
    cfg = smoke(outputs, "experiment=table2/a2u_dynamic_cs")
    assert result["config"] == plain(cfg)
    assert result["hash"] == identity(cfg)
    assert {"commit", "dirty", "versions", "machine", "started", "wall_seconds", "data_sha256", "command"} <= set(
        result["provenance"]
    )
    found = result["provenance"]["versions"]["torch"]
    assert found.split("+")[0] == torch.__version__.split("+")[0]


def test_per_image_metrics_average_to_the_result(outputs, result):
    folder = Places.of(smoke(outputs, "experiment=table2/a2u_dynamic_cs")).folder
    with (folder / "metrics.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2
    for name, value in result["metrics"].items():
        assert statistics.fmean(float(line[name]) for line in lines) == pytest.approx(value)


def test_tensorboard_has_scalars_and_strips(outputs, result):
    folder = Places.of(smoke(outputs, "experiment=table2/a2u_dynamic_cs")).folder
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    tags = events.Tags()
    assert {"train/loss", "train/lr", "train/gradient_norm", "train/samples_per_second", "test/sad"} <= set(
        tags["scalars"]
    )
    assert [event.step for event in events.Scalars("test/sad")] == [4, 8]
    strip = events.Images(tags["images"][0])[-1]
    assert strip.width == 5 * strip.height  # image | trimap | prediction | truth | error, of a square test image


def test_a_finished_run_is_not_run_again(outputs, result, monkeypatch):
    monkeypatch.setattr("a2u.engine.run.fit", lambda *args: pytest.fail("trained again"))
    again = run(smoke(outputs, "experiment=table2/a2u_dynamic_cs"))
    assert again["metrics"] == result["metrics"]


def test_the_same_run_in_another_table_is_the_same_run(outputs, result, monkeypatch):
    monkeypatch.setattr("a2u.engine.run.fit", lambda *args: pytest.fail("trained again"))
    again = run(smoke(outputs, "experiment=table2/a2u_dynamic_cs", "table=table5", "row=other_name"))
    assert again["hash"] == result["hash"]


def test_a_variant_of_a_row_leaves_the_first_result_there(outputs, result):
    variant = run(smoke(outputs, "experiment=table2/a2u_dynamic_cs", "upsampler.rank=2"))
    found = finished(outputs)
    assert found[result["hash"]]["metrics"] == result["metrics"]
    assert found[variant["hash"]]["params"] > result["params"]
    again = run(smoke(outputs, "experiment=table2/a2u_dynamic_cs"))
    assert again["metrics"] == result["metrics"]


def test_variants_from_the_command_line_have_places_of_their_own(outputs):
    first = Places.of(smoke(outputs, "upsampler=a2u", "upsampler.rank=2"))
    second = Places.of(smoke(outputs, "upsampler=a2u", "upsampler.rank=3"))
    assert first.result != second.result
    other_seed = Places.of(smoke(outputs, "upsampler=a2u", "upsampler.rank=2", "seed=1"))
    assert other_seed.folder.parent == first.folder.parent  # the seeds of a variant stand together
    assert other_seed.folder != first.folder


class Killed(BaseException):
    """Simulate a SIGKILL: nothing catches it."""


STEP = (matting_module, "matting_loss")


def run_killed(cfg, monkeypatch, after, call=STEP):
    """Run, and kill the run in the step, or other call, after the given number of them."""
    function, calls = getattr(*call), []

    def dies(*args, **kwargs):
        if len(calls) == after:
            raise Killed
        calls.append(1)
        return function(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(*call, dies)
        with pytest.raises(Killed):
            run(cfg)


def run_counted(cfg, monkeypatch):
    """Run; return the result and how many steps were trained."""
    loss, calls = matting_module.matting_loss, []
    with monkeypatch.context() as patch:
        patch.setattr(*STEP, lambda *args, **kwargs: calls.append(1) or loss(*args, **kwargs))
        return run(cfg), len(calls)


NEAREST = ["upsampler=nearest", "runtime.log_every=1"]


A2U = ["upsampler=a2u", "runtime.log_every=1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run once without interruption; return configuration and result, which nobody may change."""

    @cache
    def whole(*overrides):
        cfg = smoke(tmp_path_factory.mktemp("whole"), *overrides)
        return cfg, run(cfg)

    return whole


@pytest.fixture
def to_damage(tmp_path, whole):
    """A copy of such a run: its configuration, and the result."""
    cfg, result = whole(*NEAREST)
    shutil.copytree(cfg.runtime.outputs, tmp_path / "outputs")
    return smoke(tmp_path / "outputs", *NEAREST), result


@pytest.mark.parametrize(
    "killed_after", [3, 4, pytest.param(1, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_a_killed_run_ends_as_if_it_had_never_been_killed(tmp_path, monkeypatch, whole, killed_after):
    unharmed, result = whole(*A2U)
    parts = smoke(tmp_path, *A2U, "runtime.checkpoint_seconds=0")
    run_killed(parts, monkeypatch, killed_after)
    resumed = run(parts)
    expected = load_checkpoint(Places.of(unharmed).last)
    found = load_checkpoint(Places.of(parts).last)
    assert found["model"].keys() == expected["model"].keys()
    assert all(torch.equal(found["model"][key], expected["model"][key]) for key in expected["model"])
    assert resumed["metrics"] == result["metrics"]
    assert losses(Places.of(parts)) == losses(Places.of(unharmed))


@pytest.mark.parametrize("edited", [True, False])
def test_changes_that_were_not_committed_stay_in_a_result_however_clean_it_was_finished(tmp_path, monkeypatch, edited):
    code = tmp_path / "code"
    file = code / "src" / "code.py"
    file.parent.mkdir(parents=True)
    file.write_text("committed")

    def git(*arguments):
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *author, *arguments], cwd=code, check=True, stdout=subprocess.DEVNULL)

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(provenance, "REPOSITORY", code)
    cfg = smoke(tmp_path, "upsampler=nearest", "trainer.epochs=1", "runtime.checkpoint_seconds=0")
    if edited:
        file.write_text("edited")
    run_killed(cfg, monkeypatch, 2)
    git("checkout", ".")
    found = run(cfg)["provenance"]
    assert found["dirty"] is edited
    assert found["commits"] == [found["commit"] + ("-dirty" if edited else ""), found["commit"]]
    assert found["devices"] == ["cpu", "cpu"]


@pytest.mark.parametrize("evaluation", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_killed_in_an_evaluation_does_not_lose_that_epochs_score(tmp_path, monkeypatch, evaluation):
    overrides = ["upsampler=a2u", "trainer.epochs=3"]
    expected = run(smoke(tmp_path / "whole", *overrides))
    cfg = smoke(tmp_path / "parts", *overrides, "runtime.checkpoint_seconds=0")
    whole, calls = matting_module.evaluate, []

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == evaluation:
            raise Killed
        return whole(*args, **kwargs)

    monkeypatch.setattr(matting_module, "evaluate", dies)
    with pytest.raises(Killed):
        run(cfg)
    monkeypatch.setattr(matting_module, "evaluate", whole)
    resumed = run(cfg)
    assert (resumed["metrics"], resumed["best"]) == (expected["metrics"], expected["best"])
    assert len(load_checkpoint(Places.of(cfg).last)["scores"]) == 3


def test_steps_after_the_last_checkpoint_are_done_again_and_stand_once_in_the_history(tmp_path, monkeypatch, whole):
    cfg = smoke(tmp_path, *NEAREST)  # checkpoints at epochs' ends alone
    run_killed(cfg, monkeypatch, 6)  # two steps after the end of the first epoch
    with Places.of(cfg).history.open("ab") as file:
        file.write(b"\0\xff\0\n")  # as a power failure may leave it
    run(cfg)
    assert losses(Places.of(cfg)) == losses(Places.of(whole(*NEAREST)[0]))
    events = EventAccumulator(str(Places.of(cfg).folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("test/sad")] == [4, 8]
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 9))


def test_a_run_that_is_already_running_is_refused(tmp_path):
    cfg = smoke(tmp_path, "upsampler=nearest")
    with locked(Places.of(cfg).folder / "lock", "it"), pytest.raises(BusyError, match="another process is running"):
        run(cfg)
    assert run(cfg)["metrics"]


FOUR_STEPS = ["upsampler=nearest", "trainer.epochs=1", "runtime.checkpoint_seconds=0"]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("finished")
    run(smoke(outputs, *FOUR_STEPS))
    return outputs


MOVE, RESULT = (Path, "replace"), (run_module, "write_json")


@pytest.mark.parametrize(
    ("call", "after", "again", "left"),
    [
        pytest.param(MOVE, 2, "force=true", 4, id="some checkpoints moved"),
        pytest.param(MOVE, 3, "force=true", 4, id="all checkpoints moved"),
        pytest.param(MOVE, 3, "force=false", 0, id="all checkpoints moved, no longer forced"),
        pytest.param(STEP, 0, "force=true", 4, id="no step done", marks=pytest.mark.slow),
        pytest.param(STEP, 3, "force=true", 1, id="three steps done"),
        pytest.param(STEP, 3, "force=false", 1, id="no longer forced", marks=pytest.mark.slow),
        pytest.param(RESULT, 0, "force=true", 0, id="trained"),
    ],
)
def test_a_forced_run_that_is_killed_goes_on_and_loses_nothing_that_was_finished(
    tmp_path, monkeypatch, finished_run, call, after, again, left
):
    outputs = tmp_path / "outputs"
    shutil.copytree(finished_run, outputs)
    places = Places.of(smoke(outputs, *FOUR_STEPS))
    earlier, weights = places.result.read_bytes(), places.last.read_bytes()
    run_killed(smoke(outputs, *FOUR_STEPS, "runtime.force=true"), monkeypatch, after, call)
    put_aside = call is not MOVE
    assert places.result.exists() != put_aside  # no result lies next to the checkpoints of another training
    kept = places.replaced / "result.json" if put_aside else places.result
    assert kept.read_bytes() == earlier
    assert weights in [path.read_bytes() for path in (places.last, places.replaced / "last.pt") if path.exists()]

    result, steps = run_counted(smoke(outputs, *FOUR_STEPS, f"runtime.{again}"), monkeypatch)
    assert steps == left
    assert result["metrics"] == json.loads(earlier)["metrics"]
    if kept == places.result and again == "force=false":
        assert places.result.read_bytes() == earlier
        return
    assert json.loads(places.result.read_text()) == result
    assert (places.replaced / "result.json").read_bytes() == earlier
    assert (places.replaced / "last.pt").read_bytes() == weights
    assert load_checkpoint(places.last)["step"] == 4
    assert list(finished(outputs)) == [result["hash"]]


def test_a_forced_run_that_is_finished_runs_afresh_when_it_is_forced_again(tmp_path, monkeypatch, finished_run):
    outputs = tmp_path / "outputs"
    shutil.copytree(finished_run, outputs)
    cfg = smoke(outputs, *FOUR_STEPS, "runtime.force=true")
    for _ in range(2):
        result, steps = run_counted(cfg, monkeypatch)
        assert steps == 4
    assert json.loads(Places.of(cfg).result.read_text()) == result


def test_a_damaged_result_is_passed_over(to_damage):
    cfg, first = to_damage
    Places.of(cfg).result.write_text('{"hash": ')
    other = Places.of(cfg).folder.with_name("seed7-0123abcd")
    other.mkdir()
    (other / "result.json").write_text("[1, 2]")
    assert finished(Path(cfg.runtime.outputs)) == {}
    assert run(cfg)["metrics"] == first["metrics"]


def test_spelling_a_folder_otherwise_or_caching_more_is_the_same_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marks = set()
    for root in (tmp_path / "a", f"{tmp_path}/a/", f"{tmp_path}/b/../a", "a"):
        for kept in (1, 1024):
            marks.add(
                identity(
                    compose(
                        [
                            "dataset=adobe",
                            f"dataset.root='{root}'",
                            f"dataset.cache_mb={kept}",
                            f"dataset.decoded=d{kept}",
                        ]
                    )
                )
            )
    assert len(marks) == 1
    assert identity(compose(["dataset=adobe", f"dataset.root='{tmp_path}/c'"])) not in marks


def test_an_option_that_came_later_leaves_earlier_runs_what_they_were():
    cfg = OmegaConf.create(plain(compose(["dataset.trimap=null"])))
    with_it = identity(cfg)
    del cfg.dataset["trimap"]
    assert identity(cfg) == with_it != identity(compose(["dataset.trimap=5"]))


def test_a_damaged_test_image_is_found_before_anything_is_written(tmp_path, shared):
    root = tmp_path / "adobe"
    shutil.copytree(shared / "data" / "adobe-mini", root)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)
    trimap = root / "Test_set" / "trimaps" / "GT15_1.png"
    pixels = cv2.imread(str(trimap), cv2.IMREAD_UNCHANGED)
    pixels[0, 0] = 77
    cv2.imwrite(str(trimap), pixels)
    base = ["scale=smoke", "dataset=adobe", f"dataset.root='{root}'", f"runtime.outputs='{tmp_path}/out'"]
    with pytest.raises(DataError, match=r"GT15_1\.png holds the value\(s\) 77"):
        run(compose(base))
    assert not (tmp_path / "out").exists()


def test_a_run_killed_between_training_and_result_only_evaluates(to_damage, monkeypatch):
    cfg, first = to_damage
    Places.of(cfg).result.unlink()
    monkeypatch.setattr(matting_module, "matting_loss", lambda *args: pytest.fail("trained again"))
    assert run(cfg)["metrics"] == first["metrics"]


def test_data_workers_do_not_change_the_result(tmp_path, whole):
    assert run(smoke(tmp_path, *NEAREST, "runtime.workers=2"))["metrics"] == whole(*NEAREST)[1]["metrics"]


def rates(*overrides):
    cfg = compose(["scale=smoke", "trainer.encoder_lr_ratio=100", *overrides])
    model = build_model(cfg)
    groups = matting_module.Matting.optimizer(None, cfg, model).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert all(group["params"] for group in groups)
    return [group["lr"] for group in groups]


def test_a_pretrained_encoder_learns_at_a_rate_of_its_own():
    assert rates("model.encoder_weights=imagenet") == pytest.approx([0.01 / 100, 0.01])
    assert rates("model=gca") == pytest.approx([0.01, 0.01])  # starts from nothing


def test_an_operator_learns_at_a_rate_of_its_own():
    slow = ["upsampler=a2u", "trainer.operator_lr_ratio=10"]
    in_the_decoder = ["model=context_aware", "model.upsampler_slot=true"]
    for more in ([], ["upsampler.paired=true"], in_the_decoder, ["model=adamatting"]):
        assert rates(*slow, *more) == pytest.approx([0.01, 0.001, 0.01])
    with pytest.raises(NoPlaceError, match=r"upsampler=nearest has no .* trainer\.operator_lr_ratio=10 would have no"):
        check(compose(["scale=smoke", "upsampler=nearest", "trainer.operator_lr_ratio=10"]))


@pytest.mark.parametrize("network", ["dim", "gca", "indexnet_matting"])
def test_norms_alone_are_frozen(network):
    """The biases of DIM's convolutions and GCA's attention continue learning."""
    cfg = compose(["scale=smoke", f"model={network}", "trainer.freeze_encoder_norm=true"])
    model = build_model(cfg)
    matting_module.Matting.training_mode(None, cfg, model)
    for name, part in model.named_modules():
        norm = isinstance(part, torch.nn.BatchNorm2d) and name.startswith("encoder.")
        assert part.training != norm, name
        assert all(parameter.requires_grad != norm for parameter in part.parameters(recurse=False)), name


def test_a_frozen_encoder_norm(tmp_path):
    cfg = smoke(
        tmp_path,
        "upsampler=nearest",
        "trainer.freeze_encoder_norm=true",
        "trainer.schedule=multistep",
        "trainer.milestones=[1]",
    )
    run(cfg)
    state = load_checkpoint(Places.of(cfg).last)["model"]
    norms = [key for key in state if key.startswith("encoder.") and key.endswith("running_mean")]
    assert norms
    assert all(state[key].abs().sum() == 0 for key in norms)  # as initialised
    assert state["stages.0.shortcut.1.0.running_mean"].abs().sum() > 0
    scales = [key for key in state if key.startswith("encoder.") and key.endswith(".1.0.weight")]
    assert scales
    assert all(torch.equal(state[key], torch.ones_like(state[key])) for key in scales)
    after = [group["lr"] for group in load_checkpoint(Places.of(cfg).last)["optimizer"]["param_groups"]]
    assert after == pytest.approx([0.01 / 10, 0.01 / 10])  # after the milestone


def test_trimap_only_is_evaluated_without_training(tmp_path):
    result = run(smoke(tmp_path, "experiment=table2/trimap_only"))
    assert result["params"] == 0
    assert result["best"] is None


BROKEN = {
    "loss": lambda value, pred: value * float("nan"),
    "norm of the gradient": lambda value, pred: value + (pred * 0).sum().sqrt(),  # adds 0, whose gradient is infinite
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_loss_or_gradient_that_is_no_number_stops_with_step_rate_and_names_and_leaves_what_it_takes_to_look(
    tmp_path, monkeypatch, whole, what
):
    loss, calls = matting_module.matting_loss, []

    def breaks(pred, *args, **given):
        calls.append(pred)
        value = loss(pred, *args, **given)
        return BROKEN[what](value, pred) if len(calls) == 6 else value

    monkeypatch.setattr(matting_module, "matting_loss", breaks)
    cfg = smoke(tmp_path, *NEAREST)
    words = rf"the {what} became nan at step 6, learning rate \S+, on train_\w+ on background_\d+.*diverged\.pt"
    with pytest.raises(DivergedError, match=words) as refused:
        run(cfg)
    assert "\n" not in str(refused.value)
    state = load_checkpoint(Places.of(cfg).diverged)
    assert (state["step"], str(state["gradient_norm"])) == (5, "nan")
    assert str(state["loss"]) == "nan" or what != "loss"
    (batch,) = state["batches"]
    assert all(origin in str(refused.value) for origin in batch["origin"])
    model = build_model(cfg)
    model.load_state_dict(state["model"])
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert model.train()(batch["input"]).isfinite().all()  # the step can be done again
    assert {"alpha", "unknown", "fg", "bg", "image"} <= set(batch)
    assert not Places.of(cfg).result.exists()
    monkeypatch.setattr(matting_module, "matting_loss", loss)
    assert run(cfg)["metrics"] == whole(*NEAREST)[1]["metrics"]  # resumes from step 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before_and_says_so(to_damage, caplog, damage):
    cfg, expected = to_damage
    places = Places.of(cfg)
    steps = [load_checkpoint(path)["step"] for path in (places.earlier, places.last)]
    assert steps == [4, 8]
    content = bytearray(places.last.read_bytes())
    content[len(content) // 2] ^= 1
    {
        "cut": lambda: places.last.write_bytes(content[:-100]),
        "flipped": lambda: places.last.write_bytes(content),
        "empty": lambda: places.last.write_bytes(b""),
        "gone": lambda: places.last.unlink(),  # killed between two renames
    }[damage]()
    places.result.unlink()
    assert run(cfg)["metrics"] == expected["metrics"]
    if damage != "gone":
        assert f"{places.last} could not be read as weights" in caplog.text
        assert f"resumes from the one before, {places.earlier}, step 4" in caplog.text
    assert load_checkpoint(places.last)["step"] == 8
    assert load_checkpoint(places.earlier)["step"] == 4


def test_two_damaged_checkpoints_end_in_a_sentence(to_damage):
    cfg, expected = to_damage
    places = Places.of(cfg)
    places.result.unlink()
    places.last.write_bytes(b"")
    places.earlier.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"last\.pt could not be read.*remove last\.pt and earlier\.pt"):
        run(cfg)
    places.last.unlink()
    places.earlier.unlink()
    assert run(cfg)["metrics"] == expected["metrics"]


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path, whole):
    cfg = smoke(tmp_path, *NEAREST, "seed=1")
    Places.of(cfg).folder.mkdir(parents=True)
    shutil.copy(Places.of(whole(*NEAREST)[0]).last, Places.of(cfg).last)
    with pytest.raises(CheckpointError, match=r"last\.pt is the checkpoint of another run"):
        run(cfg)


def test_gradients_are_scaled_down_to_the_norm_asked_for(tmp_path):
    def after_one_step(*overrides):
        cfg = smoke(tmp_path, "upsampler=nearest", "trainer.epochs=1", "trainer.iterations=1", *overrides)
        run(cfg)
        logged.append(Places.of(cfg).history.read_text().splitlines()[1].split(",")[3])
        checkpoint = load_checkpoint(Places.of(cfg).last)
        moments = [state["exp_avg"] for state in checkpoint["optimizer"]["state"].values()]
        return float(torch.nn.utils.get_total_norm(moments)) / 0.1  # Adam's first moment is a tenth of the gradient

    logged = []
    plain = after_one_step()
    assert after_one_step(f"trainer.clip_norm={plain / 4}") == pytest.approx(plain / 4, rel=1e-4)
    assert after_one_step(f"trainer.clip_norm={plain * 2}") == pytest.approx(plain, rel=1e-6)
    assert list(map(float, logged)) == pytest.approx([plain] * 3, rel=1e-6)  # the gradient's own norm
    assert (
        identity(compose(["trainer.clip_norm=null"]))
        == identity(compose([]))
        != identity(compose(["trainer.clip_norm=1"]))
    )


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    cfg = smoke(tmp_path, "upsampler=nearest")
    left = Places.of(cfg).folder / ".last.pt.a1b2c3"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    run(cfg)
    assert not left.exists()


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (["sample.crop=24"], ConfigError),
        (["dataset=adobe", "~dataset.cache", "dataset.root=/nowhere/at/all"], DataError),
        (["runtime.device=cuda:7"], ConfigError),
        (["runtime.device=meta"], ConfigError),
        (["model.encoder_weights=/nowhere.pth"], ConfigError),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, overrides, error):
    overrides = [override for override in overrides if not override.startswith("~")]
    base = ["scale=smoke", f"runtime.outputs='{tmp_path / 'out'}'", "runtime.progress=false"]
    if "dataset=adobe" not in overrides:
        base.append("dataset.cache=null")
    with pytest.raises(error):
        run(compose([*base, *overrides]))
    assert not (tmp_path / "out").exists()


def test_a_dataset_without_a_training_part_is_refused_before_anything_is_written(tmp_path, shared):
    root = shared / "data" / "alphamatting"
    overrides = ["scale=smoke", "dataset=alphamatting", f"dataset.root='{root}'", f"runtime.outputs='{tmp_path}/out'"]
    with pytest.raises(DataError, match="can only be evaluated on"):
        run(compose(overrides))
    assert not (tmp_path / "out").exists()


def test_params_of_the_result_are_the_networks(result, outputs):
    from a2u.engine.prepare import make_model

    assert result["params"] == count_parameters(make_model(smoke(outputs, "experiment=table2/a2u_dynamic_cs")))
