"""Impossible configurations and malformed overrides: one line that names the key."""

from functools import cache

import pytest
from helpers.runs import smoke
from omegaconf import OmegaConf

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.config import compose
from a2u.engine.identity import identity
from a2u.engine.prepare import check
from a2u.engine.run import run
from a2u.errors import ConfigError
from a2u.settings import MOST_PROCESSES


def refused(*overrides):
    with pytest.raises(ConfigError) as error:
        check(compose([*overrides]))
    assert "\n" not in str(error.value)
    return str(error.value)


def out_of_range(key, value):
    """What is said of a value of the right type; quicker than to compose it."""
    cfg = base().copy()
    OmegaConf.update(cfg, key, value)
    with pytest.raises(ConfigError) as error:
        check(cfg)
    return str(error.value)


@cache
def base():
    return compose(["scale=smoke"])


@pytest.mark.parametrize("key", ["trainer.lr", "trainer.gamma"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite(key, value):
    assert f"{key} must be a finite number; got {value}" in out_of_range(key, float(value))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("trainer.batch_size", 10**9, "=1000000000: one batch of crops of 32 x 32 would take 57,220 GB"),
        ("runtime.workers", 2**32 - 1, f" must be at most {MOST_PROCESSES}; got 4294967295"),
        ("runtime.threads", 2**32 - 1, f" must be at most {MOST_PROCESSES}; got 4294967295"),
        ("runtime.evaluation_threads", 2**32 - 1, f" must be at most {MOST_PROCESSES}; got 4294967295"),
        ("seed", 2**32, " must be at most 4294967295; got 4294967296"),
        ("trainer.batch_size", 10**25, f" must be at most 4294967295; got {10**25}"),
        ("model.encoder_blocks", [1, 1, 2000], " must be at most 1024; got [1, 1, 2000]"),
        ("trainer.lr", -0.1, " must be positive; got -0.1"),
        ("trainer.gamma", 1.5, " must be at most 1; got 1.5"),
        ("sample.combine_probability", 2.0, " must be at most 1; got 2.0"),
        ("sample.scale_min", 0.0, " must be positive; got 0.0"),
        ("sample.scale_min", 2.0, " must be at most sample.scale_max; got 2.0 and 1.25"),
        ("sample.shear", 90.0, " must be at most 89; got 90.0"),
        ("model.dropout", -1.0, " must be between 0 and 1; got -1.0"),
        ("model.width", 1e9, "=1000000000.0 must leave whole numbers of channels"),
        ("runtime.checkpoint_seconds", -1.0, " must be at least 0; got -1.0"),
    ],
)
def test_numbers_out_of_range(key, value, words):
    assert f"{key}{words}" in out_of_range(key, value)


@pytest.mark.parametrize("limit", ["limit_train", "limit_test"])
def test_a_limit_that_leaves_nothing(limit):
    assert f"dataset.{limit} must be at least 1; got 0" in out_of_range(f"dataset.{limit}", 0)


def test_milestones():
    """Those beyond the last epoch have no effect (Sec. 6.3 on Distinctions-646); one before the first is refused."""
    check(compose(["scale=smoke", "trainer.milestones=[3, 1000]"]))
    said = out_of_range("trainer.milestones", [5, 0])
    assert said == "trainer.milestones must be epochs, each at least 1; got [5, 0]."


@pytest.mark.parametrize("key", ["table", "row"])
@pytest.mark.parametrize("name", ["", "../elsewhere", "a/b", ".", ".hidden", "\x1b[2J", "a\nb"])
def test_labels_that_cannot_name_a_folder(key, name):
    assert f"{key} names a folder of results" in out_of_range(key, name)


def test_a_label_is_refused_next_to_a_finished_result_too(tmp_path):
    """Whose hash is the same, since labels are no part of it."""
    cfg = smoke(tmp_path, "experiment=table2/trimap_only", "dataset.limit_test=1")
    run(cfg)
    cfg.row = "../x"
    with pytest.raises(ConfigError, match=r"row names a folder of results.* got '\.\./x'"):
        run(cfg)


def test_letters_of_any_alphabet_in_a_label(tmp_path):
    cfg = smoke(tmp_path, "experiment=table2/trimap_only", "row='Zeile 灰色, ñ'", "dataset.limit_test=1")
    result = run(cfg)
    (path,) = (tmp_path / "table2" / "synthetic" / "smoke" / "Zeile 灰色, ñ").glob("seed0-*/result.json")
    assert path.is_file()
    assert run(cfg)["metrics"] == result["metrics"]


def test_no_threads(tmp_path):
    for key in ("runtime.threads", "runtime.evaluation_threads"):
        assert f"{key} must be at least 1; got 0" in out_of_range(key, 0)
        given = ["system=trimap_only", f"{key}=0", f"runtime.outputs='{tmp_path}'", "dataset.cache=null"]
        with pytest.raises(ConfigError, match=f"{key} must be at least 1; got 0"):
            evaluate_weights(compose(given, "evaluate"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("override", ["~trainer.lr", "~upsampler"])
def test_a_key_taken_away(override):
    assert f"{override} would remove a key" in refused(override)


@pytest.mark.parametrize(("group", "name"), [("model", "dim"), ("upsampler", "carafe"), ("dataset", "adobe")])
def test_a_name_without_what_goes_with_it(group, name):
    """model.name=dim would build Deep Image Matting from the options of another network."""
    words = refused(f"{group}.name={name}")
    assert f"{group}.name={name} would only change a name: choose another with {group}=" in words
    assert name in words


@pytest.mark.parametrize("value", ["null", "3", "[a2u]", "{name: a2u}", "${row}", ""])
def test_a_choice_that_is_no_name(value):
    assert f"there is no upsampler {value!r}; there are: a2u, bicubic" in refused(f"upsampler={value}")


@pytest.mark.parametrize("override", ["trainer.milestones=[1", "trainer.epochs", "=1", "--x", "dataset.root=/it's"])
def test_what_cannot_be_read(override):
    words = refused(override)
    assert override in words
    assert "KEY=VALUE" in words


@pytest.mark.parametrize("control", ["\n", "\r", "\x1c", "\u2028"])
def test_a_line_break_in_an_override(control):
    """The message would be of several lines."""
    assert "holds a line break" in refused(f"row=a{control}b")


@pytest.mark.parametrize("override", ["dataset=adobe,synthetic", "seed=range(1,3)", "dataset.root=/a,b"])
def test_several_values_for_one_run(override):
    assert f"{override} gives several values: choose one" in refused(override)


@pytest.mark.parametrize("override", ["trainer.epochs=null", "trainer.milestones=null", "runtime=null"])
def test_nothing_where_something_is_needed(override):
    key = override.partition("=")[0]
    assert refused(override) == f"configuration key {key}: field '{key}' is not Optional."


@pytest.mark.parametrize("override", ["seed=${no_such_key}", "trainer.lr=${scale}", "model.encoder_blocks=${seed}"])
def test_a_reference_that_leads_nowhere(override):
    assert override.partition("=")[0] in refused(override)


def test_a_dollar_sign_and_a_brace_in_the_name_of_a_folder():
    said = refused("dataset=adobe", "dataset.root='/data/${x}'")
    assert said == "configuration key dataset.root: Interpolation key 'x' not found. Write \\${ for a ${ in a name."
    assert compose(["dataset=adobe", "dataset.root='/data/\\${x}'"]).dataset.root == "/data/${x}"


def test_one_key_twice():
    """The last one counts, as Hydra has it."""
    assert identity(compose(["seed=1", "seed=2", "upsampler=a2u", "upsampler=carafe"])) == identity(
        compose(["seed=2", "upsampler=carafe"])
    )
