"""The pilots: what they are, how many seeds they ask for, and that they are kept and told."""

import json
import math

import numpy as np
import pytest

from a2u.config import split_command_line
from a2u.engine.identity import finished
from a2u.errors import ConfigError
from a2u.reproduce.rows import row_runs
from a2u.reproduce.settings import Launcher, LauncherConfig, TableConfig
from a2u.reproduce.study import pilots as module
from a2u.reproduce.study import report
from a2u.reproduce.study.command import study as command
from a2u.reproduce.study.pilots import (
    MOST,
    ROWS,
    SEEDS,
    deviation,
    least_found,
    load,
    page,
    pilot_runs,
    power,
    seeds_needed,
)
from a2u.reproduce.study.protocol import StudyConfig, parse_request
from a2u.reproduce.study.tables import StudyError
from a2u.reproduce.table import PublishError


def asked(*words):
    return split_command_line(words, StudyConfig, "study")


@pytest.mark.parametrize(("effect", "seeds"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)])
def test_power_is_that_of_the_textbooks(effect, seeds):
    """Sample sizes of a paired t-test, 5% two-sided, power 80%, as G*Power prints them."""
    assert power(seeds, 1 / effect, 1.0) >= 0.8 > power(seeds - 1, 1 / effect, 1.0)


def test_power_is_how_often_simulated_studies_find_the_difference():
    from scipy import stats

    samples = np.random.default_rng(0).normal(4.4, 3.0, (20_000, 6))
    found = np.mean(stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05)
    assert power(6, 3.0) == pytest.approx(found, abs=0.012)  # 3.4 standard errors


def test_the_deviation_is_pooled_over_rows_in_percent_of_the_baseline():
    base = {1000: 2.0, 1001: 3.0, 1002: 4.0}
    sad = {
        "nearest": base,
        "bilinear": {seed: value + away for (seed, value), away in zip(base.items(), (0.0, 0.3, -0.3), strict=True)},
        "indexnet": {seed: value - 1 for seed, value in base.items()},  # always as far away: no deviation
    }
    assert deviation(sad) == pytest.approx(100 * math.sqrt((0.3**2 + 0) / 2) / 3)


def test_as_many_seeds_as_find_the_difference_within_what_is_carried():
    assert seeds_needed(1e-3) == 6
    assert seeds_needed(1e3) == MOST == 10
    for spread in np.linspace(2, 6, 41):
        seeds = seeds_needed(spread)
        assert seeds == MOST or power(seeds, spread) >= 0.8
        assert seeds == 6 or power(seeds - 1, spread) < 0.8
    assert len({seeds_needed(spread) for spread in np.linspace(2, 6, 41)}) == 5


@pytest.mark.parametrize("seeds", [6, 10])
def test_the_least_difference_that_is_found_has_the_wanted_power(seeds):
    least = least_found(seeds, 7.0)
    assert power(seeds, 7.0, least) == pytest.approx(0.8)
    assert power(seeds, 7.0, 0.99 * least) < 0.8


def test_the_pilots_are_no_runs_of_the_study():
    """They share data and settings with it, and no seed."""
    runs, study = pilot_runs(*asked()), parse_request(*asked())
    assert [(run.row, run.seed) for run in runs] == [(row, seed) for row in ROWS for seed in SEEDS]
    assert {run.hash for run in runs}.isdisjoint(run.hash for run in study.runs)
    of_study = {run.row: run.cfg.copy() for run in study.runs if run.seed == 1}
    for run in runs:
        of_study[run.row].seed = run.seed
        assert run.cfg == of_study[run.row]


@pytest.mark.parametrize("word", ["scale=study_large", "scale=lite", "trainer.lr=0.1", "runtime.force=true"])
def test_what_the_protocol_fixes_of_the_pilots_cannot_be_changed(word):
    with pytest.raises(ConfigError, match=word.split("=")[1]):
        pilot_runs(*asked(word))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two rows with two seeds at smoke scale, one after the other, and a repository in tmp_path."""
    rows, seeds = ROWS[:2], SEEDS[:2]
    monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(module, "SEEDS", seeds)
    how = TableConfig(table="table2", rows=list(rows), launcher=LauncherConfig(Launcher.inline))
    where = [f"runtime.outputs='{tmp_path / 'outputs'}'", f"dataset.cache='{tmp_path / 'cache'}'"]
    runs = row_runs(how, ["scale=smoke", "runtime.threads=1", "runtime.device=cpu", *where], seeds)
    monkeypatch.setattr(module, "pilot_runs", lambda settings, overrides: runs)
    for each in (module, report):
        monkeypatch.setattr(each, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return tmp_path


def test_pilots_are_run_once_kept_and_told(small, capsys):
    with pytest.raises(StudyError, match=r"nearest/seed1000.json is not there; run `make study ARGS=pilots=true`"):
        command(*asked("pilots=true", "report=true"))
    with pytest.raises(PublishError, match="not finished, nothing was published: nearest seed 1000"):
        command(*asked("pilots=true", "publish=true"))

    run = asked("pilots=true", "launcher=inline")
    assert command(*run) == 0
    done = {path: path.stat().st_mtime_ns for path in (small / "outputs").rglob("seed*.json")}
    assert len(done) == 4
    assert command(*run) == 0
    assert {path: path.stat().st_mtime_ns for path in done} == done

    for path in done:  # as if from a clean tree
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"provenance": result["provenance"] | {"dirty": False}}))
    (small / "docs").mkdir()
    shown = small / "docs" / "study.md"
    shown.write_text("<!-- results/study_pilots/pilots.md -->\nNot run yet.\n<!-- end -->\n")
    assert command(*asked("pilots=true", "publish=true", "report=true")) == 0
    folder = small / "results" / "study_pilots"
    results = load(folder)
    measured = {(run["row"], run["seed"]): run["metrics"] for run in finished(small / "outputs").values()}
    assert {(row, run["seed"]): run["metrics"] for row, runs in results.items() for run in runs} == measured
    assert str(small) not in "".join(path.read_text() for path in folder.rglob("*.json"))
    text = page(results)
    assert (folder / "pilots.md").read_text() == text
    assert shown.read_text() == f"<!-- results/study_pilots/pilots.md -->\n{text}<!-- end -->\n"
    nearest = measured["nearest", 1000]["sad"]
    assert f"| nearest | {nearest:.3f} |" in text
    assert f"Asked for: {seeds_needed(deviation(module.scores(results)))} seeds, with which" in text
    assert "pooled standard deviation is" in capsys.readouterr().out
