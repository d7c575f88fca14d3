"""Committed results: clean provenance, rows that learned, pages with the results' numbers."""

import json
import re
import statistics
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from scipy import stats

from a2u.apply.auto import BETTER
from a2u.engine.identity import identity
from a2u.reproduce.pages import SHIPPED, committed, pages, sections
from a2u.reproduce.paired import LEVEL, differences_from, holm
from a2u.reproduce.published import REFERENCE, listed, metrics_of, printed, published
from a2u.reproduce.render import Group, results_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
LITE = Group("table2", "synthetic", "lite")
BASELINE = "nearest"


@pytest.fixture(scope="module")
def tables():
    return committed(RESULTS)


@pytest.fixture(scope="module")
def texts():
    return sections()


@pytest.fixture(scope="module")
def study():
    """Runs of the open study by row and seed."""
    return {
        row: {run["seed"]: run for run in map(read, sorted((RESULTS / "study" / row).glob("seed*.json")))}
        for row in listed("table2")
    }


def read(path):
    return json.loads(path.read_text())


def measurements():
    """Every result and evaluation in a file of results/, with the file."""
    for path in sorted(RESULTS.rglob("*.json")):
        content = read(path)
        parts = [content, *content.values()] if isinstance(content, dict) else []
        for part in parts:
            if isinstance(part, dict) and {"config", "provenance"} <= part.keys():
                yield path, part


def test_every_result_comes_from_a_commit_and_names_its_data():
    found = list(measurements())
    assert len(found) > 400
    for path, part in found:
        provenance = part["provenance"]
        assert provenance["dirty"] is False, path
        assert len(provenance["commit"]) == 40, path
        assert len(provenance["data_sha256"]) == 64, path


def test_a_run_s_hash_is_that_of_its_configuration():
    runs = {path: part for path, part in measurements() if "trainer" in part["config"]}
    assert len(runs) > 200
    wrong = [path for path, run in runs.items() if identity(OmegaConf.create(run["config"])) != run["hash"]]
    assert not wrong


def test_no_result_names_a_folder_of_the_machine_it_was_made_on():
    def texts(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [value] if isinstance(value, str) else [text for each in inner for text in texts(each)]

    for path in RESULTS.rglob("*.json"):
        assert not [text for text in texts(read(path)) if text.startswith("/")], path


def test_a_result_stands_where_it_says(tables):
    for group, results in tables.items():
        for row, runs in results.items():
            for run in runs:
                labels = (run["table"], run["dataset"], run["scale"], run.get("test", ""), run["row"])
                assert labels == (*group, row)
                assert Path(run["path"]).stem == f"seed{run['seed']}"
                assert metrics_of(group.table) == list(run["metrics"])
    shown = {Path(run["path"]) for results in tables.values() for runs in results.values() for run in runs}
    others = {
        path
        for name in ("study", "study_pilots", "shipped", "validation", "bench")
        for path in (RESULTS / name).rglob("*.json")
    }
    ablated = [run["ablation"] for results in tables.values() for runs in results.values() for run in runs]
    shown |= {Path(record["path"]) for record in ablated if record}
    assert shown | others == set(RESULTS.rglob("*.json"))


def test_the_lite_table_is_complete_and_every_trained_row_far_better_than_the_trimap(tables):
    """Evidence that it learned. No ordering of operators is asserted anywhere."""
    results = tables[LITE]
    assert list(results) == listed("table2")
    seeds = {row: [run["seed"] for run in runs] for row, runs in results.items()}
    assert seeds.pop(REFERENCE) == [0]  # which does not depend on one
    assert all(found == [0, 1, 2] for found in seeds.values())
    assert len({run["provenance"]["data_sha256"] for runs in results.values() for run in runs}) == 1
    mean = {row: statistics.fmean(run["metrics"]["sad"] for run in runs) for row, runs in results.items()}
    assert all(mean[row] < 0.5 * mean[REFERENCE] for row in seeds)


def test_pages_are_up_to_date():
    """`make pages` writes them."""
    wanted = pages()
    assert {path for path in wanted if not path.is_file() or path.read_text() != wanted[path]} == set()
    for name in ("table.md", "differences.md"):
        assert set(RESULTS.rglob(name)) == {path for path in wanted if path.name == name}


def test_every_committed_table_is_shown_and_every_marker_means_something(texts):
    documentation = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    markers = set(re.findall(r"<!-- (results/\S+) -->", "".join(path.read_text() for path in documentation)))
    shown = {name for name in texts if name.endswith(("/table.md", "printed.md"))}
    assert shown | {"results/study/finding.md", "results/study_pilots/pilots.md"} <= markers
    written = {name for name in markers if (ROOT / name).is_file() or name.startswith("results/bench/")}
    to_come = {name for name in markers if name.split("/")[1] in tables_without_results()}
    assert markers - texts.keys() <= written | to_come


def tables_without_results():
    """Tables whose pages are prepared; the first committed result ends that."""
    return {table for table in published() if not (RESULTS / table).is_dir()}


def test_cells_of_a_page_are_the_results_own_numbers(tables, texts):
    """Against arithmetic on the JSON files, not against what renders them."""
    text = texts["results/table2/synthetic/lite/table.md"]
    for row, runs in tables[LITE].items():
        line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
        for cell, metric, digits in zip(line.split(" | ")[1:], metrics_of("table2"), (3, 4, 3, 3), strict=False):
            values = [run["metrics"][metric] for run in runs]
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            assert cell == f"{statistics.fmean(values):.{digits}f}{spread}"
        figures = printed("table2", row)
        assert not figures or f" | {figures['sad']:.2f} | {figures['mse']:.4f} | " in line


def test_captions_have_at_most_three_sentences(tables):
    for group, results in tables.items():
        words = results_table(group, results).caption.replace("Sec. ", "Sec.")
        assert 1 <= len(re.findall(r"\.(?= [A-Z]|$)", words)) <= 3, words


def percent(value):
    return f"{value:+.1f}%"


def test_the_studys_report_says_what_its_runs_say(study):
    """Its table and its statements about provenance."""
    text = (RESULTS / "study" / "report.md").read_text()
    assert all(list(runs) == ([0] if row == REFERENCE else list(range(10))) for row, runs in study.items())
    assert len({run["test"]["provenance"]["data_sha256"] for runs in study.values() for run in runs.values()}) == 1
    sad = {row: {seed: run["test"]["metrics"]["sad"] for seed, run in runs.items()} for row, runs in study.items()}
    base = statistics.fmean(sad[BASELINE].values())
    relative = {row: {seed: 100 * value / base for seed, value in sad[row].items()} for row in listed("table2")[1:]}
    found = differences_from(BASELINE, relative)
    for row, values in sad.items():
        line = next(line for line in text.splitlines() if line.startswith(f"| {row} |")).strip("| ").split(" | ")
        spread = f" ± {statistics.stdev(values.values()):.3f}" if len(values) > 1 else ""
        assert line[1:3] == [f"{study[row][0]['params']:,}", f"{statistics.fmean(values.values()):.3f}{spread}"]
        if row in found:
            each = found[row]
            p = "<0.001" if each.p < 0.001 else f"{each.p:.3f}"
            verdict = ("worse" if each.mean > 0 else "better") if each.p < LEVEL else "undecided"
            interval = f"{percent(each.low)} to {percent(each.high)}"
            assert line[3:8] == [percent(each.mean), interval, p, f"{each.effect:+.2f}", verdict]
    finding = (RESULTS / "study" / "finding.md").read_text()
    assert f"shows a2u_dynamic_cs_d ({percent(found['a2u_dynamic_cs_d'].mean)}) worse than {BASELINE}" in finding


def pooled_deviation(sad):
    """Of the rows' differences from the baseline, in percent of its mean."""
    base = sad[BASELINE]
    variances = [statistics.variance(sad[row][seed] - base[seed] for seed in base) for row in sad.keys() - {BASELINE}]
    return 100 * statistics.fmean(variances) ** 0.5 / statistics.fmean(base.values())


def test_what_was_seen_in_the_study_afterwards_is_in_its_results(study):
    words = " ".join((ROOT / "docs" / "study.md").read_text().split("### Seen afterwards")[1].split())
    alone = study[REFERENCE][0]["training"]["metrics"]["sad"]
    trained = {row: runs for row, runs in study.items() if row != REFERENCE}
    sad = {row: {seed: run["test"]["metrics"]["sad"] for seed, run in runs.items()} for row, runs in trained.items()}
    pilots = {}
    for path in (RESULTS / "study_pilots").rglob("seed*.json"):
        pilots.setdefault(path.parent.name, {})[read(path)["seed"]] = read(path)["metrics"]["sad"]
    assert f"{pooled_deviation(sad):.1f}% of `nearest`'s mean, in the pilots {pooled_deviation(pilots):.1f}%" in words
    base = sad[BASELINE]
    each = {row: pooled_deviation({BASELINE: base, row: seeds}) for row, seeds in sad.items() if row != BASELINE}
    *nine, last_but_one, last = sorted(each, key=each.__getitem__)
    assert f"{each[nine[0]]:.1f}% to {each[nine[-1]]:.1f}% for nine rows" in words
    assert f"{each[last_but_one]:.1f}% for `{last_but_one}`, {each[last]:.1f}% for `{last}`" in words
    of_pilots = {row: sad[row] for row in pilots}
    assert f"over the three rows that the pilots had it is {pooled_deviation(of_pilots):.1f}% here" in words

    first = {(row, seed): run["training"]["curve"][0] for row, runs in trained.items() for seed, run in runs.items()}
    late = {key: score["sad"] for key, score in first.items() if score["sad"] > 0.9 * alone}
    assert set(late) == {(row, 7) for row in trained} | {("indexnet", 6)}
    of_all = [value for (_, seed), value in late.items() if seed == 7]
    assert f"(SAD {min(of_all):.1f} to {max(of_all):.1f} on the validation images" in words
    assert f"where `trimap_only` has {alone:.1f})" in words
    assert all(7 in sorted(seeds, key=seeds.__getitem__)[-2:] for seeds in sad.values())
    assert f"{100 * (sad['indexnet'][6] - base[6]) / statistics.fmean(base.values()):+.0f}%" == "+41%"

    gaps = {row: [sad[row][seed] - base[seed] for seed in base] for row in each}
    outliers = {row for row, found in gaps.items() if stats.shapiro(found).pvalue < LEVEL}
    assert outliers == {"carafe", "indexnet", "a2u_dynamic_cs_d_norm"}
    ranked = dict(zip(each, holm([stats.wilcoxon(found).pvalue for found in gaps.values()]), strict=True))
    assert {row for row, p in ranked.items() if p < LEVEL} == {"a2u_dynamic_cs_d", "a2u_dynamic_cs_d_norm"}
    assert f"(p {ranked['a2u_dynamic_cs_d_norm']:.3f})" in words
    assert 28 * stats.wilcoxon(range(1, 11)).pvalue > LEVEL  # the least that ten seeds can give


def test_the_default_is_what_is_better_on_the_validation_set_best_first():
    found = {row: read(RESULTS / "validation" / f"{row}.json") for row in SHIPPED}
    assert len({result["provenance"]["data_sha256"] for result in found.values()}) == 1
    ranked = sorted(found, key=lambda row: found[row]["metrics"]["sad"])
    assert [system.name for system in BETTER] == ranked[: ranked.index("a2u")]
