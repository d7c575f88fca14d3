"""A small study: trained, then measured, published and told; killed, failed, and what is refused."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from helpers.matting_folders import small_photographs
from helpers.study import records, write_records

from a2u.config import split_command_line
from a2u.engine import provenance
from a2u.engine.identity import finished
from a2u.errors import ConfigError, DataError
from a2u.files import locked
from a2u.reproduce import launch
from a2u.reproduce import rows as rows_module
from a2u.reproduce.settings import Launcher, LauncherConfig, TableConfig
from a2u.reproduce.study import carry_out as carry_out_module
from a2u.reproduce.study import publish as publish_module
from a2u.reproduce.study import report
from a2u.reproduce.study.carry_out import carry_out
from a2u.reproduce.study.command import study as command
from a2u.reproduce.study.failures import note, noted
from a2u.reproduce.study.protocol import Study, StudyConfig, parse_request
from a2u.reproduce.study.publish import publish
from a2u.reproduce.study.records import load
from a2u.reproduce.study.tables import StudyError
from a2u.reproduce.table import PublishError

ROWS = ["trimap_only", "nearest", "bilinear"]
RUNS = 5  # two rows with two seeds, and one that knows no chance


@pytest.fixture
def small(monkeypatch):
    """A study of three rows and two seeds at smoke scale, one run after the other."""
    monkeypatch.setattr(rows_module, "rows_of", lambda table: ROWS)

    def made(folder, photographs=None, whole=True, launcher=Launcher.inline):
        how = TableConfig(table="table2", seeds=2, launcher=LauncherConfig(launcher))
        where = [f"runtime.outputs='{folder / 'outputs'}'", f"dataset.cache='{folder / 'cache'}'"]
        given = ["scale=smoke", "runtime.threads=1", "runtime.device=cpu", *where]
        return Study(rows_module.row_runs(how, given), how, photographs, whole)

    return made


def evaluations(study):
    """Every evaluation on test images: file -> when it was written."""
    return {path: path.stat().st_mtime_ns for path in (study.outputs / "evaluate").rglob("result.json")}


def trainings(study):
    return {path: path.stat().st_mtime_ns for path in study.outputs.rglob("seed*.json")}


def pictures_to_test_on(folder):
    return list((folder / "cache").glob("*seed20261126*"))


def test_nothing_is_measured_before_all_is_trained_and_nothing_is_run_twice(tmp_path, small, monkeypatch, capsys):
    study, run, evaluate = small(tmp_path), launch.run, carry_out_module.evaluate_weights

    def breaks(cfg):
        if cfg.row == "nearest" and cfg.seed == 1:
            raise DataError(f"the disk fell out of {study.outputs.absolute()}")
        return run(cfg)

    monkeypatch.setattr(launch, "run", breaks)
    assert carry_out(study) == 1
    assert "Nothing was measured on the test images: every row and seed is trained first." in capsys.readouterr().err
    assert not evaluations(study)
    assert not pictures_to_test_on(tmp_path)
    (failure,) = noted(study.failures)
    assert (failure["row"], failure["seed"], failure["what"]) == ("nearest", 1, "training")
    assert failure["reason"].startswith("the disk fell out")
    trained = trainings(study)
    assert len(trained) == RUNS - 1

    calls = []

    def killed(cfg):
        calls.append(cfg)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(cfg)

    monkeypatch.setattr(launch, "run", run)
    monkeypatch.setattr(carry_out_module, "evaluate_weights", killed)
    with pytest.raises(KeyboardInterrupt):
        carry_out(study)
    assert trained.items() <= trainings(study).items()
    first = evaluations(study)
    assert len(first) == 2

    monkeypatch.setattr(carry_out_module, "evaluate_weights", evaluate)
    assert carry_out(study) == 0
    done, trained = evaluations(study), trainings(study)
    assert first.items() <= done.items()
    assert len(done) == RUNS
    assert len({json.loads(path.read_text())["provenance"]["data_sha256"] for path in done}) == 1
    assert len(noted(study.failures)) == 1  # what was made good stays on the list
    printed = capsys.readouterr().out
    assert re.search(r"\nbilinear +\d.* (undecided|better|worse|no difference that matters) +-0\.5%\n", printed)

    surprising = next(path for path in done if "nearest" in str(path))
    result = json.loads(surprising.read_text())
    surprising.write_text(json.dumps(result | {"metrics": result["metrics"] | {"sad": 1e9}}))
    done = evaluations(study)
    assert carry_out(study) == 0
    assert (evaluations(study), trainings(study)) == (done, trained)


def metrics_of_runs(study):
    results = [json.loads(path.read_text()) for path in evaluations(study)]
    return {(each["name"], each["trained"].get("seed")): each["metrics"] for each in results}


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture
def finished_study(carried_out, small, shared, monkeypatch, tmp_path):
    """A finished study with two photographs, as if from a clean tree; results go to tmp_path."""
    photographs = small_photographs(shared, carried_out / "photographs")
    study = small(carried_out, photographs)
    if not study.outputs.exists():
        assert carry_out(study) == 0
        for path in [*trainings(study), *evaluations(study)]:
            alter(path, dirty=False)
    kept = carried_out / "outputs"
    shutil.copytree(kept, tmp_path / "kept")
    monkeypatch.setattr(publish_module, "seeds_of_the_protocol", lambda: 2)
    for module in (publish_module, report):
        monkeypatch.setattr(module, "REPOSITORY", tmp_path)
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    yield study
    shutil.rmtree(kept)
    shutil.copytree(tmp_path / "kept", kept)


def alter(path, **provenance):
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"provenance": result["provenance"] | provenance}))


def test_a_finished_study_is_published_and_reported_from_what_is_published_alone(finished_study, tmp_path, capsys):
    study = finished_study
    note(study.failures, study.runs[1], "training", f"it broke (whole log: {study.outputs.absolute()}/nearest/log.txt)")
    publish(study)
    folder = tmp_path / "results" / "smoke"
    runs = load(folder)
    assert {row: [run["seed"] for run in found] for row, found in runs.items()} == {
        "trimap_only": [0],
        "nearest": [0, 1],
        "bilinear": [0, 1],
    }
    done = {(each["row"], each["seed"]): each for each in finished(study.outputs).values()}
    measured = [json.loads(path.read_text()) for path in evaluations(study)]
    of = {(each["dataset"], each["name"], each["trained"].get("seed", 0)): each["metrics"] for each in measured}
    assert len(of) == 2 * RUNS
    for run in (run for found in runs.values() for run in found):
        training = done[run["row"], run["seed"]]
        assert (run["training"]["metrics"], run["training"]["curve"]) == (training["metrics"], training["curve"])
        assert run["params"] == training["params"]
        for part, dataset in (("test", "study_test"), ("photographs", "alphamatting")):
            assert run[part]["metrics"] == of[dataset, run["row"], run["seed"]]
        assert run["test"]["provenance"]["test_images"] == 2
        assert run["test"]["config"]["dataset"]["seed"] == 20261126
    text = "".join(path.read_text() for path in folder.rglob("*.json"))
    assert str(study.outputs.parent) not in text

    (tmp_path / "docs").mkdir()
    marker = "<!-- results/smoke/report.md -->\n"
    (tmp_path / "docs" / "study.md").write_text(f"## Result\n\n{marker}Not run yet.\n<!-- end -->\n")
    (tmp_path / "README.md").write_text("no place for it\n")
    shutil.move(study.outputs, tmp_path / "gone")  # nothing else is read
    capsys.readouterr()
    report.write_report("smoke")
    shutil.move(tmp_path / "gone", study.outputs)
    assert "README.md shows no results/smoke/finding.md: write the lines" in capsys.readouterr().out
    page = (folder / "report.md").read_text()
    assert "On the 2 photographs of alphamatting.com" in page
    failure = "- nearest seed 0, training: it broke (whole log: log.txt) ("
    assert f"### Failures of runs\n\nEach was made good by a later call:\n\n{failure}" in page
    shown = (tmp_path / "docs" / "study.md").read_text()
    assert shown == f"## Result\n\n{marker}{page.replace('](', '](../results/smoke/')}<!-- end -->\n"
    assert (folder / "intervals.svg").is_file()


def test_what_is_unfit_is_not_published(finished_study, tmp_path, monkeypatch):
    study = finished_study
    of_test = sorted(path for path in evaluations(study) if "study_test" in str(path))
    for path, change, words in (
        (of_test[0], {"dirty": True}, r"uncommitted changes.*study_test.*another ARGS=runtime.outputs=DIR"),
        (of_test[0], {"data_sha256": "0" * 64}, "test sets that differ"),
        (of_test[0], {"commit": "0" * 40}, "study_test was done at several commits"),
        (sorted(trainings(study))[0], {"commit": "0" * 40}, "training was done at several commits"),
        (sorted(trainings(study))[0], {"threads": 2}, r"in several ways \(cpu, threads: 1; cpu, threads: 2\)"),
    ):
        before = path.read_text()
        alter(path, **change)
        with pytest.raises(PublishError, match=words):
            publish(study)
        path.write_text(before)
    of_test[0].unlink()
    with pytest.raises(PublishError, match=r"not finished, nothing was published: .* study_test"):
        publish(study)
    monkeypatch.setattr(publish_module, "seeds_of_the_protocol", lambda: 6)
    with pytest.raises(PublishError, match="the protocol asks for 6 seeds, not 2"):
        publish(study)
    assert not (tmp_path / "results").exists()


def test_what_was_published_is_not_replaced_by_less_or_by_another_study(finished_study):
    study = finished_study
    publish(study)
    publish(study)  # the same again
    with pytest.raises(PublishError, match=r"photographs were measured: name them as then, with PHOTOS=\.\.\."):
        publish(replace(study, photographs=None))
    training = next(path for path in trainings(study) if "nearest/seed1" in str(path))
    alter(training, started="2030-01-01T00:00:00+00:00")
    with pytest.raises(
        PublishError, match=r"results/smoke has another training of nearest seed 1.*publishes the first"
    ):
        publish(study)


def test_a_call_beside_one_that_is_at_work_lists_no_failure(tmp_path, small):
    study = small(tmp_path)
    run = study.runs[1]
    with locked(run.places.folder / "lock", run.title):
        assert carry_out(study) == 1
    assert noted(study.failures) == []
    assert len(trainings(study)) == RUNS - 1


def test_an_evaluation_that_fails_is_listed_and_the_others_go_on(finished_study, monkeypatch, capsys):
    study = finished_study
    first, second, *_ = sorted(path for path in evaluations(study) if "study_test" in str(path))
    shutil.rmtree(first.parent)
    shutil.rmtree(second.parent)
    evaluate, calls = carry_out_module.evaluate_weights, []

    def breaks(cfg):
        calls.append(cfg)
        if len(calls) == 1:
            raise DataError("a picture is gone")
        return evaluate(cfg)

    monkeypatch.setattr(carry_out_module, "evaluate_weights", breaks)
    assert carry_out(study) == 1
    (failure,) = noted(study.failures)
    assert (failure["what"], failure["reason"]) == ("study_test", "a picture is gone")
    assert "FAILED" in capsys.readouterr().err
    assert len(calls) == 2
    assert carry_out(study) == 0
    assert len(calls) == 3
    assert first.exists()
    assert second.exists()


@pytest.mark.parametrize(("elsewhere", "warned"), [(0, False), (2, True), (RUNS, False)])
def test_a_mixture_of_commits_is_told_before_anything_is_trained(finished_study, capsys, elsewhere, warned):
    for path in list(trainings(finished_study)):
        alter(path, commit=provenance.commit()[0])
    for path in list(trainings(finished_study))[:elsewhere]:
        alter(path, commit="0" * 40)
    assert carry_out(finished_study) == 0
    said = f"warning: {elsewhere} of {RUNS} runs were trained at another commit"
    assert (said in capsys.readouterr().err) == warned


def test_fewer_seeds_than_the_protocols_are_trained_and_not_measured(tmp_path, small, monkeypatch, capsys):
    monkeypatch.setattr(carry_out_module, "complete", lambda runs, how, failed: ({run.hash: {} for run in runs}, {}))
    assert carry_out(small(tmp_path, whole=False)) == 0
    assert "Nothing was measured on the test images: the protocol asks for 10 seeds." in capsys.readouterr().err
    assert not (tmp_path / "outputs" / "evaluate").exists()


@pytest.mark.slow
def test_processes_side_by_side_measure_what_one_process_measures(tmp_path, small, capsys):
    studies = [small(tmp_path / name, launcher=Launcher[name]) for name in ("inline", "local")]
    for study in studies:
        assert carry_out(study) == 0
    inline, local = (metrics_of_runs(study) for study in studies)
    assert inline == local
    assert len(inline) == RUNS
    assert capsys.readouterr().err.count("measured  bilinear seed 1 on study_test") == 2


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["scale=lite"], ConfigError, "the study has no scale=lite; it has: study, study_large"),
        (["scale=study_larg"], ConfigError, "Did you mean 'study_large'"),
        (["trainer.lr=0.1"], ConfigError, r"trainer.lr=0.1 cannot be given to the study, whose protocol fixes it"),
        (["dataset=adobe"], ConfigError, "dataset=adobe cannot be given"),
        (["rows=[nearest]"], ConfigError, "unknown configuration key rows"),
        (["seeds=0"], ConfigError, "seeds must be at least 1"),
        (["runtime.force=true"], ConfigError, "runtime.force=true would run finished rows again"),
        (["photographs=/nowhere"], DataError, "/nowhere"),
    ],
)
def test_what_the_protocol_fixes_cannot_be_changed(words, error, said, small):
    with pytest.raises(error, match=said):
        parse_request(*split_command_line(words, StudyConfig, "study"))


def test_a_command_line_may_say_where_and_how_many(small):
    words = ["seeds=10", "jobs=2", "scale=study_large", "runtime.outputs=there", "runtime.threads=4"]
    study = parse_request(*split_command_line(words, StudyConfig, "study"))
    assert (study.scale, study.how.jobs, study.whole, len(study.runs)) == ("study_large", 2, True, 21)
    assert {run.cfg.runtime.threads for run in study.runs} == {4}
    assert str(study.failures) == "there/study_large/failures.json"
    more = parse_request(*split_command_line(["seeds=11"], StudyConfig, "study"))
    assert not more.whole
    fewer = parse_request(*split_command_line(["seeds=2"], StudyConfig, "study"))
    assert (fewer.scale, fewer.whole) == ("study", False)
    assert {run.cfg.runtime.threads for run in fewer.runs} == {1}


def test_a_report_of_nothing_says_what_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    asked = split_command_line(["report=true"], StudyConfig, "study")
    with pytest.raises(StudyError, match=r"no two seeds of nearest.*make study ARGS=publish=true"):
        command(*asked)
    write_records(tmp_path / "study", records({"nearest": {0: 3.0}, "bilinear": {0: 3.1}}))
    with pytest.raises(StudyError, match="no two seeds of nearest"):
        command(*asked)
