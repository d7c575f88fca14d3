"""The pilot runs of docs/study.md, and the number of seeds that they ask for."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from a2u.engine.identity import finished
from a2u.engine.provenance import REPOSITORY
from a2u.errors import ConfigError
from a2u.files import write_json
from a2u.reproduce.launch import report_failures, run_missing
from a2u.reproduce.paired import LEVEL, mean
from a2u.reproduce.render import Results, as_markdown, as_text
from a2u.reproduce.rows import RowRun
from a2u.reproduce.settings import TableConfig
from a2u.reproduce.study.protocol import BASELINE, METRIC, SCALES, TABLE, StudyConfig, runs_of_the_protocol, scale_of
from a2u.reproduce.study.publish import AGAIN
from a2u.reproduce.study.records import without_folders
from a2u.reproduce.study.report import show
from a2u.reproduce.study.tables import Lines, StudyError
from a2u.reproduce.table import RESULTS, refuse_unfit, write

SCALE = SCALES[0]
ROWS = (BASELINE, "bilinear", "indexnet", "a2u_dynamic_cs_d_norm")
SEEDS = (1000, 1001, 1002)  # none of the study's
SOUGHT, POWER = 4.4, 0.8  # percent of the baseline: the paper's gain of a2u_dynamic_cs; the chance of finding it
FEWEST, MOST = 6, 10  # seeds

Sad = Mapping[str, Mapping[int, float]]  # of every pilot row, by seed


def pilots(settings: StudyConfig, overrides: Sequence[str]) -> int:
    """Run the pilots that are not done; or keep them in results/study_pilots, or tell what they ask for, or both.

    Returns the exit status.

    Raises:
        A2UError: a command line that the protocol does not allow; a pilot that is not finished or may not be published.
    """
    folder = RESULTS / "study_pilots"
    if settings.publish:
        _publish(pilot_runs(settings, overrides), folder)
    if settings.report:
        _report(load(folder), folder)
    if settings.publish or settings.report:
        return 0
    runs = pilot_runs(settings, overrides)
    done, failures = run_missing(runs, TableConfig(table=TABLE, jobs=settings.jobs, launcher=settings.launcher))
    return report_failures(failures, sum(run.hash not in done for run in runs), len(runs))


def pilot_runs(settings: StudyConfig, overrides: Sequence[str]) -> list[RowRun]:
    """Every pilot, checked. Raises ConfigError for what the protocol fixes."""
    scale = scale_of(overrides)
    if scale != SCALE:
        raise ConfigError(f"the pilots are those of scale={SCALE}, not of scale={scale}; leave scale out.")
    how = TableConfig(table=TABLE, rows=list(ROWS), jobs=settings.jobs, launcher=settings.launcher)
    return runs_of_the_protocol(how, overrides, SEEDS)


def load(folder: Path) -> Results:
    """Published results of each pilot row, one a seed."""
    paths = {row: [folder / row / f"seed{seed}.json" for seed in SEEDS] for row in ROWS}
    absent = [path for row in ROWS for path in paths[row] if not path.is_file()]
    if absent:
        raise StudyError(
            f"{absent[0]} is not there; run `make study ARGS=pilots=true`, then the same with publish=true "
            "(docs/study.md)."
        )
    return {row: [json.loads(path.read_text(encoding="utf-8")) for path in paths[row]] for row in ROWS}


def scores(results: Results) -> dict[str, dict[int, float]]:
    """The primary measure on the validation images, at the last checkpoint."""
    return {row: {run["seed"]: run["metrics"][METRIC] for run in runs} for row, runs in results.items()}


def deviation(sad: Sad) -> float:
    """Pooled standard deviation of the other rows' paired differences from the baseline, in percent of its mean."""
    base = sad[BASELINE]
    variances = [
        statistics.variance([value - base[seed] for seed, value in seeds.items()])
        for row, seeds in sad.items()
        if row != BASELINE
    ]
    return 100 * math.sqrt(statistics.fmean(variances)) / mean(base)


def power(seeds: int, spread: float, difference: float = SOUGHT) -> float:
    """How probably a two-sided paired t-test finds a difference.

    spread: standard deviation of the paired differences, in the unit of `difference`.
    """
    from scipy import stats  # half a second to import

    least = stats.t.isf(LEVEL / 2, seeds - 1)
    # The square of t, which is F, since SciPy's non-central t is NaN far out.
    return float(stats.ncf.sf(least**2, 1, seeds - 1, seeds * (difference / spread) ** 2))


def seeds_needed(spread: float) -> int:
    """The smallest number of seeds that is enough for POWER, between FEWEST and MOST."""
    return next((seeds for seeds in range(FEWEST, MOST) if power(seeds, spread) >= POWER), MOST)


def least_found(seeds: int, spread: float) -> float:
    """The difference that is found with POWER, in the unit of `spread`."""
    from scipy import optimize

    return float(optimize.brentq(lambda difference: power(seeds, spread, difference) - POWER, 0, 3 * spread))


def page(results: Results) -> str:
    """The pilots in Markdown."""
    return f"{as_markdown(*_table(scores(results)))}\n{_words(results)}\n"


def _publish(runs: Sequence[RowRun], folder: Path) -> None:
    done = finished(Path(runs[0].cfg.runtime.outputs))
    refuse_unfit({run.title: done.get(run.hash) for run in runs}, AGAIN)
    for run in runs:
        kept: dict[str, Any] = {key: value for key, value in done[run.hash].items() if key != "path"}
        write_json(folder / run.row / f"seed{run.seed}.json", without_folders(kept))
    print(f"published {len(runs)} pilots to {folder.relative_to(REPOSITORY)}")


def _report(results: Results, folder: Path) -> None:
    write(folder / "pilots.md", page(results))
    show("docs/study.md", folder / "pilots.md", page(results))
    print(f"{as_text(*_table(scores(results)))}\n{_words(results)}")


def _table(sad: Sad) -> Lines:
    unit = mean(sad[BASELINE]) / 100
    lines = []
    for row, seeds in sad.items():
        away = [(value - sad[BASELINE][seed]) / unit for seed, value in seeds.items()]
        difference = "—" if row == BASELINE else f"{statistics.fmean(away):+.1f}% ± {statistics.stdev(away):.1f}"
        lines.append([row, *(f"{value:.3f}" for value in seeds.values()), difference])
    return ["row", *(f"seed {seed}" for seed in SEEDS), f"from {BASELINE}"], lines


def _words(results: Results) -> str:
    spread = deviation(scores(results))
    chances = [f"{seeds} seeds {power(seeds, spread):.0%}" for seeds in range(FEWEST, MOST + 1)]
    provenances = [run["provenance"] for runs in results.values() for run in runs]
    commits = ", ".join(dict.fromkeys(each["commit"][:8] for each in provenances))
    seeds = seeds_needed(spread)
    return (
        f"SAD / 1,000 on the validation images at the last checkpoint (commit {commits}). The differences' pooled "
        f"standard deviation is {spread:.2f}% of {BASELINE}'s mean. A difference of {SOUGHT:g}% is then found by a "
        f"paired t-test at {LEVEL:.0%} with these probabilities: {', '.join(chances)}. Asked for: {seeds} seeds, with "
        f"which a difference of {least_found(seeds, spread):.1f}% is found with a probability of {POWER:.0%}, before "
        "the correction for many tests."
    )
