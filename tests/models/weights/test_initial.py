"""init_from: a network starts from every tensor that fits, and says which do not."""

import json
import re
import shutil

import pytest
import torch
from helpers.runs import smoke

import a2u
from a2u.config import compose
from a2u.engine.identity import identity
from a2u.engine.prepare import prepare
from a2u.errors import ConfigError
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.released import load_released
from a2u.models.shipped import shipped_weights
from a2u.models.weights.initial import initial_hash, start_from
from a2u.reproduce.rows import row_runs
from a2u.reproduce.table import command_line

WIDTH = 0.125
FORMS = {
    "tensors": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "of a parallel network": lambda state: {f"module.{name}": value for name, value in state.items()},
    "model": lambda state: {"model": state, "optimizer": {}, "train_names": ["cat", "dog"]},
}


def start(model, path):
    return start_from(model, str(path), initial_hash(str(path)))


def same(model, other):
    return all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(1)
    return MattingUNet("a2u", width=WIDTH)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_network_takes_all(trained, tmp_path, form):
    torch.save(FORMS[form](trained.state_dict()), tmp_path / "weights.pth")
    model = MattingUNet("a2u", width=WIDTH)
    assert not same(model, trained)
    found = start(model, tmp_path / "weights.pth")
    assert same(model, trained)
    count = len(trained.state_dict())
    assert f"{count} of the network's {count} tensors are taken" in found.report
    assert found.report.endswith("parameters.")
    assert found.train_names == (["cat", "dog"] if form == "model" else [])


def test_another_operator_takes_the_rest_of_the_network_and_lists_what_does_not_fit(trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    torch.manual_seed(2)
    model, before = MattingUNet("carafe", width=WIDTH), MattingUNet("carafe", width=WIDTH)
    before.load_state_dict(model.state_dict())
    report = start(model, tmp_path / "weights.pth").report.splitlines()
    assert same(model.encoder, trained.encoder)
    assert same(model.prediction, trained.prediction)
    assert same(model.upsamplers, before.upsamplers)
    missing = [f"  missing upsamplers.{name}" for name in before.upsamplers.state_dict()]
    unknown = [f"  unknown upsamplers.{name}" for name in trained.upsamplers.state_dict()]
    assert sorted(report[1:]) == sorted(missing + unknown)


def test_a_released_file_is_recognised(reference, tmp_path):
    shapes = json.loads((reference / "a2u" / "official_shapes.json").read_text())["adobe"]["shapes"]
    state = {f"module.{name}": torch.full(shape, 0.5) for name, shape in shapes.items()}
    torch.save({"state_dict": state}, tmp_path / "a2u.pth")
    model = MattingUNet("a2u", {"encoder_kernel_size": 6, "paired": True})
    report = start(model, tmp_path / "a2u.pth").report
    assert same(model.encoder, load_released(state).encoder)
    assert "unknown upsamplers.0.norm_u.0.weight" in report  # the released operator normalises U and V


def test_what_does_not_fit_at_all_is_refused(trained, tmp_path):
    torch.save({"conv1.weight": torch.zeros(2), "bn1.num_batches_tracked": torch.tensor(3)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"no tensor in it has .*parameter of MattingUNet; it holds .*conv1\.weight"):
        start(MattingUNet("a2u", width=WIDTH), tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"has the SHA-256 .*; init_from_sha256 expects 00ff"):
        start_from(trained, str(tmp_path / "other.pth"), "00ff")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ConfigError, match=r"init_from=.*text\.pth could not be read as weights"):
        start(trained, tmp_path / "text.pth")
    with pytest.raises(ConfigError, match=r"init_from=nowhere\.pt cannot be read: No such file"):
        compose(["init_from=nowhere.pt"])
    with pytest.raises(ConfigError, match="give init_from=FILE, too"):
        prepare(compose(["init_from_sha256=00ff"]))


def test_a_network_of_another_width_takes_hardly_anything_which_the_report_says(trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    report = start(MattingUNet("a2u", width=WIDTH / 2), tmp_path / "weights.pth").report
    taken, of = re.search(r"([\d,]+) of its ([\d,]+) parameters; what does not fit:", report).groups()
    assert int(taken.replace(",", "")) < 0.01 * int(of.replace(",", ""))
    assert "encoder.stem.0.weight is (8, 4, 7, 7), expected (4, 4, 7, 7)" in report


def test_the_files_content_is_part_of_the_identity_and_its_place_is_not(trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "one.pth")
    shutil.copy(tmp_path / "one.pth", tmp_path / "again.pth")
    torch.save(trained.encoder.state_dict(), tmp_path / "other.pth")
    files = [compose([f"init_from='{tmp_path / name}'"]) for name in ("one.pth", "again.pth", "other.pth")]
    one, again, other = map(identity, files)
    assert one == again
    assert len({one, other, identity(compose())}) == 3
    (tmp_path / "one.pth").unlink()
    assert identity(files[0]) == one  # a finished run's configuration needs no file


def test_a_network_starts_from_the_model_in_the_package(tmp_path):
    words = ["experiment=table2/a2u_hybrid_cw", "scale=medium", "init_from=checkpoint", "dataset.train_layers=8"]
    cfg = smoke(tmp_path, *words, "dataset.train_backgrounds=4", "dataset.test_images=1", "dataset.test_size=64")
    prepared = prepare(cfg)
    assert same(prepared.model, a2u.load("checkpoint"))
    assert prepared.start.report.endswith("302,547 of its 302,547 parameters.")
    assert "train_hair_0000" in prepared.task.train_names


def test_a_tables_rows_start_from_it_but_those_that_learn_nothing():
    with_it, without = (
        {run.row: run for run in row_runs(*command_line(["table=table2", "rows=[trimap_only,nearest]", *more]))}
        for more in (["init_from=checkpoint"], [])
    )
    assert with_it["trimap_only"].hash == without["trimap_only"].hash
    assert with_it["nearest"].hash != without["nearest"].hash
    assert with_it["nearest"].cfg.init_from_sha256 == initial_hash(str(shipped_weights()))
    assert "init_from=checkpoint" in with_it["nearest"].overrides
