"""Tables as text and Markdown, measured beside printed."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from a2u.reproduce.marks import marks
from a2u.reproduce.paired import Scores
from a2u.reproduce.published import QUOTED, is_printed_on, metrics_of, printed, printed_on, published, stated

Results = dict[str, list[dict[str, Any]]]  # row -> its results, one a seed

TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}
TITLES |= {"psnr": "PSNR", "ssim": "SSIM", "rmse": "RMSE", "mae": "MAE"}
DIGITS = {"sad": 2, "mse": 4, "grad": 2, "conn": 2, "psnr": 2, "ssim": 4, "rmse": 4, "mae": 4}  # as the paper prints
SMALL = DIGITS | {"sad": 3, "grad": 3, "conn": 3}  # where SAD is below 10


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and ± sample standard deviation where there are several values."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def scores_of(results: Results, metric: str) -> dict[str, Scores]:
    """A metric of every row that has results, by seed; of a row that is not trained, its one value."""
    return {
        row: {run["seed"]: run["metrics"][metric] for run in runs} if runs[0]["params"] else runs[0]["metrics"][metric]
        for row, runs in results.items()
        if runs
    }


def metric_cells(results: Results, metric: str, digits: int) -> dict[str, str]:
    """A column of a metric: mean, deviation and mark of each row, a dash for a row without results."""
    marked = marks(scores_of(results, metric), metric)
    return {
        row: f"{spread([run['metrics'][metric] for run in runs], digits)} {marked[row]}".rstrip() if runs else "—"
        for row, runs in results.items()
    }


def speed(runs: Sequence[dict[str, Any]]) -> str:
    """Samples/s of a row's training, the mean over its seeds; a dash where nothing was trained."""
    # 0: killed after its last step, before its result
    rates = [rate for run in runs if (rate := run["provenance"].get("samples_per_second"))]
    return f"{statistics.fmean(rates):,.0f}" if rates else "—"


def digits_for(runs: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Decimal places of each metric: as the paper prints, and one more of mattes where every SAD is below 10."""
    return SMALL if all(run["metrics"].get("sad", 0) < 10 for run in runs) else DIGITS


def table_cells(
    table: str, dataset: str, results: Results, paper_parameters: dict[str, int]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table.

    Args:
        table: such as "table2".
        dataset: what it was measured on.
        results: for each row, in order, its results, one a seed; a row without any shows dashes.
        paper_parameters: for each row that is run, the parameters of its network at the paper's width.
    """
    metrics = metrics_of(table)
    main = metrics[0]
    of_mattes = main == "sad"
    printed_parameters = "params" in published()[table]["columns"]
    compares = is_printed_on(table, dataset)
    header = ["row", *(TITLES[name] for name in metrics), f"best {TITLES[main]}", "params"]
    header += ["paper-scale params"] if of_mattes else ["samples/s"]
    header += [f"printed {TITLES[name]}" for name in metrics]
    header += ["printed params"] * printed_parameters + [f"{TITLES[main]} − printed"] * compares
    digits = digits_for(run for runs in results.values() for run in runs)
    columns = [metric_cells(results, name, digits[name]) for name in metrics]
    lines = []
    for row, runs in results.items():
        in_paper = printed(table, row, dataset)
        cells = [f"{row} (quoted)" if row in QUOTED.get(table, ()) else row]
        cells += [column[row] for column in columns]
        best = [run["best"][main] for run in runs if run["best"]]
        cells.append(spread(best, digits[main]) if best else "—")
        cells.append(f"{runs[0]['params']:,}" if runs else "—")
        if of_mattes:
            cells.append(f"{paper_parameters[row]:,}" if row in paper_parameters else "—")
        else:
            cells.append(speed(runs))
        cells += [_as_printed(in_paper.get(name), name) for name in metrics]
        if printed_parameters:
            cells.append(in_paper.get("params") or "—")
        if compares:
            known = runs and main in in_paper
            difference = statistics.fmean(run["metrics"][main] for run in runs) - in_paper[main] if known else None
            cells.append("—" if difference is None else f"{difference:+.{DIGITS[main]}f}")
        lines.append(cells)
    return header, lines


def as_markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """GitHub Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *lines)) + "\n"


def as_text(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Aligned columns for a terminal; the heads of columns in two lines where they have two words."""
    heads = [head.rsplit(" ", 1) if " " in head else ["", head] for head in header]
    rows = [[head[0] for head in heads], [head[1] for head in heads], *[list(cells) for cells in lines]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    out = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        out.append("  ".join(cells).rstrip())
        if number == 1:
            out.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(out) + "\n"


def one_result(result: dict[str, Any]) -> str:
    """A single run as a small table, beside the printed numbers where the paper has that row."""
    table, dataset, metrics = result["table"], result["dataset"], list(result["metrics"])
    in_paper = printed(table, result["row"], dataset)
    header = ["", *(TITLES[name] for name in metrics)]
    lines = [["measured", *(f"{result['metrics'][name]:.4f}" for name in metrics)]]
    if result["best"]:
        best = result["best"]
        lines.append([f"best epoch ({best['epoch']:.0f})", *(f"{best[name]:.4f}" for name in metrics)])
    if in_paper:
        lines.append([f"printed ({printed_on(table, dataset)})", *(f"{in_paper[name]:g}" for name in metrics)])
    title = f"{table}/{result['row']}  dataset={dataset} scale={result['scale']} seed={result['seed']}"
    rate = result["provenance"]["samples_per_second"]
    speed = f"  {rate:,.0f} samples/s" if rate else ""
    return f"{title}  {result['params']:,} parameters{speed}\n{as_text(header, lines)}"


def evaluation(result: dict[str, Any]) -> str:
    """A system's evaluation: every image where they are measured one by one, the whole, and what others say of it."""
    metrics = list(result["metrics"])
    lines = []
    for image in result["images"]:
        cells = [f"{image[name]:.4f}" if image[name] is not None else "undefined" for name in metrics]
        lines.append([image["name"], *cells])
    whole = f"mean of {len(lines)}" if lines else f"all {result['provenance']['test_images']:,}"
    lines.append([whole, *(f"{result['metrics'][name]:.4f}" for name in metrics)])
    trained = result["trained"]
    title = f"{result['name']}, evaluated on {result['dataset']}; files: {result['folder']}"
    if "row" in trained:
        title = (
            f"{trained['table']}/{trained['row']} trained on {trained['dataset']} ({trained['scale']}, seed "
            f"{trained['seed']}, {trained['steps']} steps), evaluated on {result['dataset']}; files: {result['folder']}"
        )
    by, numbers = ("", {}) if "row" in trained else stated(result["name"])
    if numbers:
        lines.append([f"{by} (Composition-1k)", *(_as_printed(numbers[name], name) for name in metrics)])
        if result["weights"] and result["config"]["metrics"]["rounding"] == "nearest":
            title += (
                "\nThe programs these weights come with cut alphas off to 8 bits instead of rounding: "
                "metrics.rounding=truncate for the same."
            )
    return f"{title}\n{as_text(['', *(TITLES[name] for name in metrics)], lines)}"


def _as_printed(value: float | None, metric: str) -> str:
    return "—" if value is None else f"{value:.{DIGITS[metric]}f}"
