"""Committed results: clean provenance, rows that learned, tables that are what the results say."""

import json
import re
import statistics
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from scipy import stats

from a2u.reproduce import benchmark_page, benchmark_sets, shipped
from a2u.reproduce.caption import caption
from a2u.reproduce.differences import differences_page
from a2u.reproduce.paired import LEVEL, holm
from a2u.reproduce.published import REFERENCE, lines_of, metrics_of, rows_of
from a2u.reproduce.render import as_markdown, table_cells
from a2u.reproduce.rows import paper_parameters
from a2u.reproduce.study import pilots, report
from a2u.reproduce.study.failures import noted
from a2u.reproduce.study.findings import find
from a2u.reproduce.study.protocol import MATTERS, SCALES, seeds_of_the_protocol
from a2u.reproduce.study.records import load as load_study
from a2u.reproduce.table import PAGES

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
LITE = RESULTS / "table2" / "synthetic" / "lite"


def load(folder):
    """Results of a table's folder by row, in the paper's order."""
    found = {}
    for row in lines_of(folder.parents[1].name):
        found[row] = [json.loads(path.read_text()) for path in sorted((folder / row).glob("seed*.json"))]
    return found


FILES = sorted(RESULTS.glob("*/*/*/*/seed*.json"))
PILOTS = sorted((RESULTS / "study_pilots").glob("*/seed*.json"))
OF_STUDY = sorted(path for scale in SCALES for path in (RESULTS / scale).glob("*/seed*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(RESULTS)))
def test_a_result_stands_where_it_says_and_comes_from_a_commit(path):
    result = json.loads(path.read_text())
    place = (result["table"], result["dataset"], result["scale"], result["row"], f"seed{result['seed']}")
    assert path.relative_to(RESULTS).with_suffix("").parts == place
    assert result["provenance"]["dirty"] is False
    assert len(result["provenance"]["commit"]) == 40
    assert len(result["provenance"]["data_sha256"]) == 64
    assert metrics_of(result["table"]) == list(result["metrics"])
    if result.get("trained"):  # elsewhere: Table 6
        assert result["trained"]["provenance"]["dirty"] is False
        assert len(result["trained"]["provenance"]["commit"]) == 40


def test_the_lite_table_is_complete():
    results = load(LITE)
    assert list(results) == rows_of("table2")
    seeds = {row: [run["seed"] for run in runs] for row, runs in results.items()}
    assert seeds.pop(REFERENCE) == [0]  # which does not depend on one
    assert all(found == [0, 1, 2] for found in seeds.values())
    assert len({run["provenance"]["data_sha256"] for runs in results.values() for run in runs}) == 1


def test_every_trained_row_of_the_lite_table_is_far_better_than_the_trimap():
    """Evidence that it learned. No ordering of operators is asserted anywhere."""
    mean = {row: statistics.fmean(run["metrics"]["sad"] for run in runs) for row, runs in load(LITE).items()}
    for row in mean.keys() - {REFERENCE}:
        assert mean[row] < 0.5 * mean[REFERENCE], row


def page(folder):
    """What a table's page has to say, from its results alone."""
    table, dataset, scale = folder.relative_to(RESULTS).parts
    results = load(folder)
    parameters = {row: paper_parameters(OmegaConf.create(runs[0]["config"])) for row, runs in results.items() if runs}
    header, lines = table_cells(table, dataset, results, parameters)
    return f"{as_markdown(header, lines)}\n{caption(table, dataset, scale, results)}\n"


def page_of_several_test_sets(folder):
    table, group, scale = folder.relative_to(RESULTS).parts
    measured = {test: load(RESULTS / table / test / scale) for test in benchmark_sets.tests_of(group)}
    return benchmark_page.page(
        group, scale, {test: {row: rows[row] for row in rows_of(table)} for test, rows in measured.items()}
    )[1]


def page_of_the_shipped_model(folder):
    return shipped.page({row: json.loads((folder / f"{row}.json").read_text()) for row in shipped.SYSTEMS})[1]


PAGE_OF = {"table6": page_of_several_test_sets, "shipped": page_of_the_shipped_model}


def table_of(path):
    """The folder of results/ that a page lies in."""
    return path.relative_to(RESULTS).parts[0]


def test_the_tables_and_the_pages_say_what_the_results_say():
    pages = [(ROOT / name).read_text() for name in PAGES]
    tables = sorted(RESULTS.rglob("table.md"))
    assert LITE / "table.md" in tables
    for path in tables:
        expected = PAGE_OF.get(table_of(path), page)(path.parent)
        assert path.read_text() == expected
        marker = f"<!-- {path.relative_to(ROOT).as_posix()} -->\n"
        for shown in pages:
            if marker in shown:
                assert f"{marker}{expected}<!-- end -->" in shown


def test_differences_stand_beside_every_table_of_several_seeds():
    folders = sorted(path.parent for path in RESULTS.rglob("table.md") if table_of(path) not in PAGE_OF)
    expected = {folder: differences_page(*folder.relative_to(RESULTS).parts, load(folder))[1] for folder in folders}
    assert expected[LITE]
    assert {path.parent: path.read_text() for path in RESULTS.rglob("differences.md")} == {
        folder: page for folder, page in expected.items() if page
    }


SHIPPED = sorted((RESULTS / "shipped").glob("*.json"))


def test_the_numbers_of_the_model_in_the_package_come_from_a_commit():
    for path in SHIPPED:
        result = json.loads(path.read_text())
        assert result["row"] == path.stem
        assert result["provenance"]["dirty"] is False
        assert len(result["provenance"]["commit"]) == 40


@pytest.mark.parametrize(
    "path", [*FILES, *SHIPPED, *PILOTS, *OF_STUDY], ids=lambda path: str(path.relative_to(RESULTS))
)
def test_no_result_names_a_folder_of_the_machine_it_was_made_on(path):
    def texts(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [value] if isinstance(value, str) else [text for each in inner for text in texts(each)]

    assert not [text for text in texts(json.loads(path.read_text())) if text.startswith("/")]


def test_every_table_is_shown_and_every_table_shown_is_there():
    pages = "".join((ROOT / name).read_text() for name in PAGES)
    shown = set(re.findall(r"<!-- (results/\S+/table\.md) -->", pages))
    measured = {path.relative_to(ROOT).as_posix() for path in RESULTS.rglob("table.md")}
    assert shown == measured


def test_the_pilots_come_from_a_commit_and_say_how_many_seeds_the_study_has():
    results = pilots.load(RESULTS / "study_pilots")
    for run in (run for row in results.values() for run in row):
        assert run["provenance"]["dirty"] is False
        assert len(run["provenance"]["commit"]) == 40
    assert pilots.seeds_needed(pilots.deviation(pilots.scores(results))) == seeds_of_the_protocol()
    text = pilots.page(results)
    assert (RESULTS / "study_pilots" / "pilots.md").read_text() == text
    assert f"<!-- results/study_pilots/pilots.md -->\n{text}<!-- end -->" in (ROOT / "docs" / "study.md").read_text()


@pytest.mark.parametrize("path", OF_STUDY, ids=lambda path: str(path.relative_to(RESULTS)))
def test_a_run_of_the_study_stands_where_it_says_and_comes_from_a_commit(path):
    run = json.loads(path.read_text())
    scale, row, name = path.relative_to(RESULTS).with_suffix("").parts
    assert (run["training"]["scale"], run["row"], f"seed{run['seed']}") == (scale, row, name)
    for part in filter(None, (run["training"], run["test"], run["photographs"])):
        assert part["provenance"]["dirty"] is False
        assert len(part["provenance"]["commit"]) == 40
        assert list(part["metrics"]) == metrics_of("table2")


@pytest.mark.parametrize("folder", sorted({path.parents[1] for path in OF_STUDY}), ids=lambda folder: folder.name)
def test_a_study_is_whole_and_its_report_says_what_its_runs_say(folder):
    runs = load_study(folder)
    assert list(runs) == rows_of("table2")
    seeds = {row: [run["seed"] for run in of_row] for row, of_row in runs.items()}
    assert seeds.pop(REFERENCE) == [0]
    assert all(found == list(range(seeds_of_the_protocol())) for found in seeds.values())
    assert len({run["test"]["provenance"]["data_sha256"] for of_row in runs.values() for run in of_row}) == 1
    if not (folder / "report.md").exists():
        pytest.skip("results are committed before they are concluded from")
    failures = noted(folder / "failures.json")
    assert (folder / "report.md").read_text() == report.page(runs, failures, folder)
    assert (folder / "finding.md").read_text() == report.two_sentences(runs, folder)
    places = {
        "docs/study.md": ("report.md", report.page(runs, failures, folder, f"../results/{folder.name}/")),
        "README.md": ("finding.md", report.two_sentences(runs, folder)),
    }
    for place, (name, expected) in places.items():
        marker, shown = f"<!-- results/{folder.name}/{name} -->\n", (ROOT / place).read_text()
        assert marker in shown or folder.name != SCALES[0]
        assert f"{marker}{expected}<!-- end -->" in shown or marker not in shown


def test_what_was_seen_in_the_study_afterwards_is_in_its_results():
    records = load_study(RESULTS / "study")
    words = " ".join(
        (ROOT / "docs" / "study.md").read_text().split("## Seen afterwards")[1].split("## Changes")[0].split()
    )
    alone = records.pop(REFERENCE)[0]["training"]["metrics"]["sad"]
    sad = {row: {run["seed"]: run["test"]["metrics"]["sad"] for run in runs} for row, runs in records.items()}
    of_pilots = pilots.deviation(pilots.scores(pilots.load(RESULTS / "study_pilots")))
    assert f"{pilots.deviation(sad):.1f}% of `nearest`'s mean, in the pilots {of_pilots:.1f}%" in words

    base = sad["nearest"]
    each = {row: pilots.deviation({"nearest": base, row: seeds}) for row, seeds in sad.items() if row != "nearest"}
    *nine, last_but_one, last = sorted(each, key=each.__getitem__)
    assert f"{each[nine[0]]:.1f}% to {each[nine[-1]]:.1f}% for nine rows" in words
    assert f"{each[last_but_one]:.1f}% for `{last_but_one}`, {each[last]:.1f}% for `{last}`" in words

    of_pilots = {row: sad[row] for row in ("nearest", "bilinear", "indexnet", "a2u_dynamic_cs_d_norm")}
    assert f"over the three rows that the pilots had it is {pilots.deviation(of_pilots):.1f}% here" in words

    found = find(sad)
    a2u = {row: one for row, one in found.rows.items() if row.startswith("a2u_")}
    assert len(a2u) == 8
    assert all(one.mean > 0 and one.low > max(-MATTERS, found.paper[row]) for row, one in a2u.items())
    for row in ("bilinear", "indexnet"):
        assert found.rows[row].low < found.paper[row] < found.rows[row].high
    assert 0 < found.paper["carafe"] - found.rows["carafe"].high < 0.5

    first = {(row, run["seed"]): run["training"]["curve"][0] for row, runs in records.items() for run in runs}
    assert {
        run["training"]["provenance"]["steps"] / run["training"]["curve"][-1]["epoch"] for run in records["nearest"]
    } == {1000}
    late = {key: score["sad"] for key, score in first.items() if score["sad"] > 0.9 * alone}
    assert set(late) == {(row, 7) for row in records} | {("indexnet", 6)}
    of_all = [value for (_, seed), value in late.items() if seed == 7]
    assert f"(SAD {min(of_all):.1f} to {max(of_all):.1f} on the validation images" in words
    assert f"where `trimap_only` has {alone:.1f})" in words
    assert all(7 in sorted(seeds, key=seeds.__getitem__)[-2:] for seeds in sad.values())
    differences = {row: [sad[row][seed] - base[seed] for seed in base] for row in each}
    outliers = {row for row, found in differences.items() if stats.shapiro(found).pvalue < LEVEL}
    assert outliers == {"carafe", "indexnet", "a2u_dynamic_cs_d_norm"}
    ranked = dict(zip(each, holm([stats.wilcoxon(found).pvalue for found in differences.values()]), strict=True))
    assert {row for row, p in ranked.items() if p < LEVEL} == {"a2u_dynamic_cs_d", "a2u_dynamic_cs_d_norm"}
    assert f"(p {ranked['a2u_dynamic_cs_d_norm']:.3f})" in words
    assert 28 * stats.wilcoxon(range(1, 11)).pvalue > LEVEL  # the least that ten seeds can give

    assert f"{100 * (sad['indexnet'][6] - base[6]) / statistics.fmean(base.values()):+.0f}%" == "+41%"
