"""Composition: what composes, what is refused, and with which words."""

import shutil
from itertools import chain
from unittest.mock import ANY

import pytest
import torch
from omegaconf import OmegaConf

import a2u.apply.evaluate_weights
import a2u.config
from a2u.config import CONFIG_DIR, compose, options_of
from a2u.data.sampling.settings import SampleConfig
from a2u.engine.identity import identity
from a2u.engine.prepare import check, make_model
from a2u.engine.settings import MattingTrainerConfig, ReconstructionTrainerConfig
from a2u.errors import ConfigError
from a2u.models.build import count_parameters
from a2u.models.networks import networks
from a2u.reproduce.published import named_rows, published, quoted_rows, rows_of
from a2u.reproduce.rows import paper_parameters, row_runs
from a2u.reproduce.settings import TableConfig
from a2u.settings import SCHEMAS, plain
from a2u.upsampling import operators, option_names

EXPERIMENTS = options_of("experiment")
OWN = ["photo/a2u"]  # of no table of the paper


def test_there_is_a_config_for_every_row_of_a_table():
    with_config = {table: [*rows_of(table), *named_rows(table)] for table in published()}
    assert {f"{table}/{row}" for table, rows in with_config.items() for row in rows} == set(EXPERIMENTS) - set(OWN)
    quoted = {table: quoted_rows(table) for table in published()}
    assert {table: rows for table, rows in quoted.items() if rows} == {
        "table5": ["adamatting"],
        "table6": ["adamatting", "gca", "context_aware"],
    }


def test_a_row_of_a_table_is_one_file(tmp_path, monkeypatch):
    configs = shutil.copytree(CONFIG_DIR, tmp_path / "configs")
    row = (configs / "experiment" / "table2" / "nearest.yaml").read_text()
    (configs / "experiment" / "table2" / "mine.yaml").write_text(row.replace("row: nearest", "row: mine"))
    before = rows_of("table2")
    monkeypatch.setattr(a2u.config, "CONFIG_DIR", configs)
    assert rows_of("table2") == [*before, "mine"]
    runs = row_runs(TableConfig(table="table2", rows=["nearest", "mine"]), ["scale=smoke"])
    assert [run.row for run in runs] == ["nearest", "mine"]
    assert (runs[1].cfg.row, runs[1].hash) == ("mine", runs[0].hash)


def test_there_is_a_config_for_every_operator():
    ours = {name for name, operator in operators().items() if operator.__module__.startswith("a2u.")}
    assert ours == set(options_of("upsampler"))


ELSEWHERE = {f"{table}/{row}" for table in ("table1", "table2", "successors") for row in rows_of(table)}


OFTEN = ("probe/a2u_gate", "probe/indexnet_blank", "looks/a2u_hybrid_cw_calibrate", "table1/maxpool_dysample")
KINDS = ("probe/", "looks/", "table1/")
ALIKE = {each for each in EXPERIMENTS if each.startswith(KINDS) and each not in OFTEN}  # long form


# Those are in tests/models/networks, with the parameters of every row.
@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param(each, marks=pytest.mark.slow if each in ALIKE else ())
        for each in EXPERIMENTS
        if each not in ELSEWHERE
    ],
)
def test_every_experiment_composes_and_builds(experiment):
    cfg = compose([f"experiment={experiment}"])
    check(cfg)
    assert f"{cfg.table}/{cfg.row}" == experiment


@pytest.mark.parametrize("network", options_of("model"))
def test_every_network_can_be_built_at_every_scale_and_has_the_same_parameters_in_the_paper(network):
    has_task = network in options_of("task")  # of its own, which chooses it
    choice = [f"task={network}" if has_task else f"model={network}"]
    if getattr(networks()[network], "adapts_trimap", False):
        choice.append("trainer.loss=adaptation")
    parameters = {}
    for scale in options_of("scale"):
        if has_task and not (CONFIG_DIR / "scale" / scale / f"{network}.yaml").is_file():
            continue
        cfg = compose([*choice, f"scale={scale}"])
        check(cfg)
        assert (cfg.model.name, cfg.scale) == (network, scale)
        if network != "probe" and scale in ("lite", "paper"):  # the probe is not the paper's
            parameters[scale] = paper_parameters(cfg)
            if scale == "paper":
                with torch.device("meta"):
                    assert count_parameters(make_model(cfg)) == parameters[scale]
    assert network == "probe" or len(set(parameters.values())) == 1


def test_every_experiment_opens_with_row_numbers_cost_and_command():
    for experiment in EXPERIMENTS:
        check_comment(experiment)


def check_comment(experiment):
    table, row = experiment.split("/")
    lines = (CONFIG_DIR / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    comment = " ".join(line for line in lines if line.startswith("#"))
    assert f"python scripts/train.py experiment={experiment}" in comment
    assert "Cost:" in comment
    content = published().get(table, {})
    parts = [content[name] for name in ("mnist", "fashion_mnist")] if table == "table1" else [content]
    numbers = [part.get(row, []) for part in parts]
    if table == "table6" and row in content:
        numbers = [content[row]["rank"], *content[row]["grad"]]
    for number in filter(None, chain(*numbers)):
        assert str(number) in comment, f"printed number {number} is not in the comment"


def test_paper_scale_of_reconstruction_is_the_papers_setting():
    """Appendix A; momentum and weight decay are assumptions."""
    cfg = compose(["experiment=table1/maxpool_a2u", "dataset=mnist", "scale=paper"])
    assert OmegaConf.to_object(cfg.trainer) == ReconstructionTrainerConfig()
    assert (cfg.trainer.epochs, cfg.trainer.batch_size, cfg.trainer.lr) == (100, 100, 0.01)
    assert (list(cfg.trainer.milestones), cfg.trainer.gamma) == ([50, 70, 85], 0.1)
    assert (cfg.trainer.momentum, cfg.trainer.weight_decay) == (0.9, 5e-4)
    assert (cfg.dataset.size, cfg.dataset.limit_train, cfg.dataset.limit_test) == (32, None, None)
    assert OmegaConf.to_object(cfg.model) == SCHEMAS["model/reconstruction"]()


def test_a_scale_keeps_the_papers_shares_of_the_epochs():
    paper, lite = (compose(["task=reconstruction", f"scale={scale}"]).trainer for scale in ("paper", "lite"))
    assert [epoch / paper.epochs for epoch in paper.milestones] == [epoch / lite.epochs for epoch in lite.milestones]


def test_the_rows_of_table_1_differ_in_operator_and_downsampling_alone():
    rows = [plain(compose([f"experiment=table1/{row}"])) for row in rows_of("table1")]
    for row in rows:
        row.pop("row"), row.pop("upsampler"), row["model"].pop("downsampling")
    assert all(row == rows[0] for row in rows)
    for row in named_rows("table1"):
        cfg = OmegaConf.load(CONFIG_DIR / "experiment" / "table1" / f"{row}.yaml")
        assert cfg.pop("defaults") == [{"override /task": "reconstruction"}, {"override /upsampler": ANY}]
        cfg.pop("upsampler", None)
        assert cfg == {"table": "table1", "row": row}


def test_paper_scale_is_the_papers_setting():
    cfg = compose(["experiment=table2/nearest", "dataset=adobe", "scale=paper"])
    assert (cfg.trainer.epochs, cfg.trainer.iterations, cfg.trainer.batch_size) == (30, 6000, 16)
    assert (cfg.trainer.lr, cfg.trainer.encoder_lr_ratio, list(cfg.trainer.milestones)) == (0.01, 100, [20, 26])
    assert (cfg.sample.crop, cfg.sample.trimap_max, cfg.sample.resize_to) == (512, 29, 640)
    assert cfg.model.encoder_weights == "imagenet"
    assert OmegaConf.to_object(cfg.sample) == SampleConfig()
    assert OmegaConf.to_object(cfg.trainer) == MattingTrainerConfig()
    assert OmegaConf.to_object(cfg.model) == SCHEMAS["model/resnet34_unet"](encoder_weights="imagenet")


def test_the_study_is_lite_scale_with_more_steps_and_layers():
    lite, study, large = (plain(compose([f"scale={scale}"])) for scale in ("lite", "study", "study_large"))
    assert (study["model"], study["sample"]) == (lite["model"], lite["sample"])
    steps = {"epochs", "iterations", "evaluate_every"}
    assert {key for key in lite["trainer"] if lite["trainer"][key] != study["trainer"][key]} == steps
    for scale, expected in ((study, 5_000), (large, 20_000)):
        assert scale["trainer"]["epochs"] * scale["trainer"]["iterations"] == expected
        assert (scale["dataset"]["train_layers"], scale["dataset"]["train_backgrounds"]) == (1024, 512)
    assert (large["sample"]["crop"], large["model"]["width"], large["model"]["aspp"]) == (128, 0.25, False)


def test_other_systems_are_as_small_at_the_study_s_scale():
    for model in ("dim", "gca", "indexnet_matting"):
        lite, study = (compose([f"model={model}", f"scale={scale}"]).model for scale in ("lite", "study"))
        assert study == lite


def test_the_study_s_layers_are_those_of_generated_mattes_alone():
    assert "train_layers" not in compose(["scale=study", "dataset=adobe"]).dataset
    assert compose((), "evaluate").dataset.train_layers == 256  # a configuration without a scale


def test_the_study_s_test_images_are_of_a_stream_of_their_own():
    test, train = compose(["dataset=study_test"], "evaluate").dataset, compose(["scale=study"]).dataset
    assert (test.seed, test.test_images, test.test_size, test.trimap) == (20261126, 256, train.test_size, train.trimap)
    assert test.seed != train.seed
    assert compose(["scale=study", "dataset=study_test"]).dataset.train_layers == 0


def test_operator_options_are_the_constructors():
    cfg = compose(["upsampler=a2u"])
    assert list(cfg.upsampler) == ["name", *option_names(operators()["a2u"])]
    assert plain(cfg)["upsampler"]["mode"] == "dynamic"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.lrr=1"], ["trainer.lrr", "allowed here", "lr", "milestones", "Did you mean 'lr'?"]),
        (["+trainer.lrr=1"], ["trainer.lrr", "allowed here", "Did you mean 'lr'?"]),
        (["foo=1"], ["foo", "table", "upsampler"]),
        (["upsampler=a2u", "upsampler.ranks=2"], ["upsampler.ranks", "rank", "up_kernel_size"]),
        (["upsampler=a2u", "upsampler.mode=dinamic"], ["upsampler.mode", "static, hybrid, dynamic", "mean 'dynamic'?"]),
        (["upsampler=nearest", "upsampler.rank=2"], ["upsampler.rank", "allowed here: name, ratio"]),
        (["upsampler=neerest"], ["upsampler 'neerest'", "bilinear", "Did you mean 'nearest'?"]),
        (["experiment=table2/a2u_dynamik_cs"], ["table2/a2u_dynamik_cs", "Did you mean 'table2/a2u_dynamic_cs'?"]),
        (["scale=big"], ["scale 'big'", "lite, medium, paper, photo, smoke, study, study_large"]),
        (
            ["scale=study", "task=reconstruction"],
            ["scale=study is not for task=reconstruction", "lite, medium"],
        ),
        (["scale=study_large", "experiment=table1/conv_nearest"], ["study_large is not for task=reconstruction"]),
        (["dataset=adope"], ["dataset 'adope'", "adobe"]),
        (["dataset=adobe", "dataset.train_size=3"], ["dataset.train_size", "cache_mb"]),
        (["trainer.epochs=many"], ["trainer.epochs", "many", "Integer"]),
        (["model.norm=layer"], ["model.norm", "batch, inplace_abn"]),
        (["task=reconstruction", "sample.crop=32"], ["sample.crop", "allowed here: none"]),
        (["task=reconstruction", "model.width=0.5"], ["model.width", "downsampling, last_activation"]),
        (["task=reconstruction", "trainer.iterations=5"], ["trainer.iterations", "momentum"]),
        (["task=reconstruction", "model.downsampling=pool"], ["model.downsampling", "max_pool, conv"]),
        (["task=restoration"], ["task 'restoration'", "matting, probe, reconstruction"]),
        (["trainer.milestones=3"], ["trainer.milestones"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_allowed(overrides, words):
    with pytest.raises(ConfigError) as refused:
        compose(overrides)
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "_schema" not in str(refused.value)


def test_what_is_like_nothing_known_gets_no_suggestion():
    with pytest.raises(ConfigError, match=r"study_large\.$"):
        compose(["scale=xyz"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["sample.crop=40"], "sample.crop must be a multiple of 16, by which the network divides; got 40"),
        (["model=gca", "sample.crop=48"], "sample.crop must be a multiple of 32"),
        (["model=gca", "trainer.batch_size=1", "sample.crop=32"], "batch_size=1 cannot be trained on crops of 32"),
        (["model=dim", "upsampler=carafe"], "model=dim has no place for an upsampling operator"),
        (["model=dim", "trainer.epochs=0"], "trainer.epochs must be at least 1; got 0"),
        (["model=indexnet_matting", "model.width=0.01"], "model.width=0.01 must leave whole numbers of channels"),
        (["model=indexnet_matting", "trainer.batch_size=1", "scale=paper"], "to 2 or more, or model.aspp=false"),
        (["dataset=adobe", "dataset.decoded_mb=-1"], "dataset.decoded_mb must be at least 0; got -1"),
        (["sample.crop=0"], "sample.crop must be at least 16; got 0"),
        (["seed=-1"], "seed must be at least 0"),
        (["runtime.log_every=0"], "runtime.log_every must be at least 1"),
        (["trainer.batch_size=1", "scale=paper"], "set trainer.batch_size to 2 or more, or model.aspp=false"),
        (["trainer.lr=0"], "trainer.lr must be positive"),
        (["model.width=0.3"], "model.width"),
        (["model.encoder_blocks=[1,1]"], "model.encoder_blocks"),
        (["upsampler=a2u", "upsampler.up_kernel_size=2"], "up_kernel_size must be odd"),
        (["upsampler=a2u", "upsampler.up_kernel_size=1"], "kernel_norm=sigmoid"),
        (["upsampler=carafe", "upsampler.ratio=3"], "upsampler.ratio"),
        (["task=probe", "model.blank_guide=true"], "nearest reads no guide, so model.blank_guide=true has no effect"),
        (["task=probe", "sample.crop=60"], "sample.crop must be a multiple of 8; got 60"),
        (["task=probe", "model.channels=0"], "model.channels must be at least 1; got 0"),
        (["task=probe", "dataset=mnist5k"], "dataset=mnist5k is for reconstruction, but task=probe is for probe"),
    ],
)
def test_an_impossible_combination_is_refused(overrides, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        check(compose(overrides))


def test_one_sample_a_step_is_possible_without_pyramid_pooling():
    check(compose(["trainer.batch_size=1", "model.aspp=false"]))


def test_the_paper_trains_25_epochs_on_distinctions_646():
    """Sec. 6.3: so the second fall of the rate, after epoch 26, never comes."""
    cfg = compose(["experiment=table7/a2u_dynamic_cs", "dataset=distinctions646", "scale=paper"])
    assert (cfg.trainer.epochs, list(cfg.trainer.milestones)) == (25, [20, 26])
    assert compose(["experiment=table7/a2u_dynamic_cs", "dataset=distinctions646", "scale=lite"]).trainer.epochs == 10


def test_a_row_of_several_tables_is_one_run():
    rows = ["table2/a2u_hybrid_cw", "table3/a2u_hybrid_cw_k3", "table4/a2u_hybrid_cw_sigmoid_softmax"]
    rows += ["table5/a2u_hybrid_cw", "table7/a2u_hybrid_cw"]
    assert len({identity(compose([f"experiment={row}"])) for row in rows}) == 1
    best = ["table2/a2u_dynamic_cs_d_norm", "table5/a2u_dynamic_cs_d_norm", "table6/ours"]
    assert len({identity(compose([f"experiment={row}"])) for row in best}) == 1
    others = ["table3/a2u_hybrid_cw_k1", "table3/a2u_hybrid_cw_k5", "table4/a2u_hybrid_cw_softmax"]
    assert len({identity(compose([f"experiment={row}"])) for row in [*rows, *others]}) == 4
