"""Render results as tables, measured numbers next to printed ones."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from a2u.metrics import MattingMetrics
from a2u.reproduce.caption import caption, shows_best, warnings
from a2u.reproduce.changes import changes, conclusion, error_of, without_content
from a2u.reproduce.published import (
    BLANK,
    controls,
    heading,
    is_printed_on,
    metrics_of,
    printed,
    printed_on,
    published,
    quoted_rows,
    stated,
    task_of,
)
from a2u.reproduce.rows import paper_parameters
from a2u.reproduce.tables import DASH, Cell, Column, Table, count, number, words
from a2u.upsampling import operators

Results = dict[str, list[dict[str, Any]]]  # row -> its results, one per seed

TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}
TITLES |= {"psnr": "PSNR", "ssim": "SSIM", "rmse": "RMSE", "mae": "MAE"}
DIGITS = {"sad": 2, "mse": 4, "grad": 2, "conn": 2, "psnr": 2, "ssim": 4, "rmse": 4, "mae": 4}  # as the paper prints
SMALL = DIGITS | {"sad": 3, "grad": 3, "conn": 3}  # where SAD is below 10


ABLATIONS = {"mean_kernel": "without content", "other_guide": "other guide"}  # columns of a table of ablations


class Group(NamedTuple):
    """The contents of one table: rows of one of the paper's tables, trained on one dataset at one scale."""

    table: str  # such as "table2"
    dataset: str
    scale: str
    test: str = ""  # the test set if it is not the dataset's own, such as "alphamatting"

    @property
    def title(self) -> str:
        """Such as "Table 2 on synthetic, scale lite"."""
        on = f"{self.test}, trained on {self.dataset}" if self.test else self.dataset
        return f"{heading(self.table)} on {on}, scale {self.scale}"

    @property
    def measured_on(self) -> str:
        """The dataset of the numbers."""
        return self.test or self.dataset

    def folder(self, root: Path) -> Path:
        """Return <root>/<table>/<dataset>/<scale>, or on_<test> in it."""
        folder = root / self.table / self.dataset / self.scale
        return folder / f"on_{self.test}" if self.test else folder


def results_table(group: Group, results: Results) -> Table:
    """Return every row's metrics, parameters and cost, next to the printed numbers.

    Args:
        group: whose results these are.
        results: for each row, in order, its results, one per seed; a row without any shows dashes.
    """
    metrics, runs = metrics_of(group.table), [run for of_row in results.values() for run in of_row]
    main, digits, elsewhere = metrics[0], digits_for(runs), bool(group.test)
    task, compares = task_of(group.table), is_printed_on(group.table, group.measured_on)
    is_matting, is_reconstruction = task == "matting", task == "reconstruction"
    columns = [Column("row", is_number=False), *(Column(TITLES[name]) for name in metrics)]
    columns += [Column(TITLES[main], "best")] * shows_best(group)
    blank, ablated = blank_guides(results), without_content(group.table, results)
    columns += [Column(TITLES[main], "blank guide")] * bool(blank)
    columns += [Column("content (%)", "without")] * bool(ablated)
    columns += [Column("reads guide", is_number=False)] * is_reconstruction
    columns.append(Column("params"))
    if elsewhere:
        columns.append(Column("s/image"))
    else:
        columns.append(Column("params", "paper-scale") if is_matting else Column("samples/s"))
    shows_printed = bool(printed_on(group.table, "")) and "columns" in published()[group.table]
    shows_printed &= compares or not elsewhere
    if shows_printed:
        columns += [Column(TITLES[name], "printed") for name in metrics]
        columns += [Column("params", "printed")] * ("params" in published()[group.table]["columns"])
        columns += [Column("− printed", TITLES[main])] * compares
    lines = []
    for row, of_row in shown_alone(results).items():
        in_paper, source = printed(group.table, row, group.measured_on), record_id(group, row) if of_row else ""
        parameters = paper_scale(of_row) if is_matting else None
        cells = [words(row_title(group.table, row))]
        cells += [number([run["metrics"][name] for run in of_row], digits[name], source=source) for name in metrics]
        if shows_best(group):
            cells.append(number([run["best"][main] for run in of_row if run["best"]], digits[main], source=source))
        cells += [number([run["metrics"][main] for run in blank.get(row, [])], digits[main])] * bool(blank)
        cells += [number(ablated.get(row, []), 1, "+z")] * bool(ablated)
        cells += [reads_guide(of_row)] if is_reconstruction else []
        cells.append(count(of_row[0]["params"] if of_row else None))
        if elsewhere:
            cells.append(number(mean_of(map(seconds_per_image, of_row)), 2))
        else:
            cells.append(count(parameters) if is_matting else speed(of_row))
        if shows_printed:
            cells += [as_printed(in_paper.get(name), name) for name in metrics]
            if "params" in published()[group.table]["columns"]:
                text = in_paper.get("params")
                cells.append(Cell(text, key=parameters) if text else DASH)
            if compares:
                known = [run["metrics"][main] - in_paper[main] for run in of_row if main in in_paper]
                cells.append(number(mean_of(known), DIGITS[main], "+"))
        lines.append(cells)
    return Table(columns, lines, caption(group, results), group.title)


def short_table(group: Group, results: Results) -> Table:
    """Return row, main metric here, without content, printed, and parameters beyond the first trained row's."""
    main = metrics_of(group.table)[0]
    digits = digits_for(run for of_row in results.values() for run in of_row)[main]
    base = next((paper_scale(of_row) for of_row in results.values() if of_row and of_row[0]["params"]), None)
    blank, ablated = blank_guides(results), without_content(group.table, results)
    is_printed = bool(printed_on(group.table, ""))
    columns = [Column("row", is_number=False), Column(f"{TITLES[main]} here")]
    columns += [Column(f"blank guide {TITLES[main]}")] * bool(blank)
    columns += [Column("without content (%)")] * bool(ablated)
    columns += [Column(f"printed {TITLES[main]}")] * is_printed
    lines = []
    for row, of_row in shown_alone(results).items():
        own, learns = paper_scale(of_row), bool(of_row and of_row[0]["params"])
        extra = own - base if learns and own is not None and base is not None else None
        cells = [words(row_title(group.table, row)), number([run["metrics"][main] for run in of_row], digits)]
        cells += [number([run["metrics"][main] for run in blank.get(row, [])], digits)] * bool(blank)
        cells += [number(ablated.get(row, []), 1, "+z")] * bool(ablated)
        cells += [as_printed(printed(group.table, row, group.measured_on).get(main), main)] * is_printed
        lines.append([*cells, count(extra)])
    return Table([*columns, Column("extra parameters")], lines, caption(group, results), group.title)


def blank_guides(results: Results) -> Results:
    """Return the probe's rows with a blank guide, by the row that they are the control of."""
    found = {row.removesuffix(BLANK): of_row for row, of_row in results.items() if row.endswith(BLANK)}
    return {row: of_row for row, of_row in found.items() if row in results}


def shown_alone(results: Results) -> Results:
    """Return the rows that have a line of their own, all but those that `blank_guides` shows in a column."""
    in_columns = {row + BLANK for row in blank_guides(results)}
    return {row: of_row for row, of_row in results.items() if row not in in_columns}


def ablation_table(group: Group, records: Results) -> Table:
    """Return what every row's error is without something, and the change in percent.

    records: for each row what was measured, one per seed.
    """
    error = error_of(group.table)
    digits = digits_for(record for of_row in records.values() for record in of_row)[error]
    columns = [Column("row", is_number=False), Column(TITLES[error])]
    columns += [Column(name, over) for over in ABLATIONS.values() for name in (TITLES[error], "%")]
    lines = []
    for row, of_row in records.items():
        cells = [words(row_title(group.table, row)), number([record["metrics"][error] for record in of_row], digits)]
        for kind in ABLATIONS:
            parts = [record["ablated"][kind] for record in of_row if kind in record["ablated"]]
            cells.append(number([part["metrics"][error] for part in parts], digits))
            cells.append(number(changes(group.table, of_row, kind), 1, "+z"))
        lines.append(cells)
    without = {row: changes(group.table, of_row, "mean_kernel") for row, of_row in records.items()}
    said = conclusion(group.table, {row: values for row, values in without.items() if values})
    caption = f"{group.title}: {said}; other guides are those of another image of the same size."
    return Table(columns, lines, caption, f"{group.title}, without content")


def ranks_table(table: str) -> Table | None:
    """Return the paper's own Table 6, of photographs without public true alpha; None of other tables."""
    content = published()[table]
    if "images" not in content:
        return None
    columns = [Column("method", is_number=False), Column("rank"), *(Column(kind, "rank") for kind in "SLU")]
    columns += [Column(image, "grad") for image in content["images"]]
    rows = [
        [
            words(f"{row} (quoted)"),
            *(Cell(str(rank), key=rank) for rank in content[row]["rank"]),
            *(Cell(" / ".join(map(str, grad)), key=grad[0]) for grad in content[row]["grad"]),
        ]
        for row in content
        if row not in ("about", "images")
    ]
    return Table(
        columns,
        rows,
        "Printed in the paper, not measured here: average rank by gradient error on alphamatting.com, over all trimaps "
        "and by trimap (S small, L large, U drawn by a user). Gradient errors of its eight photographs, whose true "
        "alpha is not public, are by trimap, S / L / U.",
        f"{heading(table)} as printed",
    )


VALIDATION = "generated mattes in the colours of held-out photographs (dataset=photo_textures)"


def shipped_table(results: Mapping[str, dict[str, Any]]) -> Table:
    """Return the table of the model in the package and classic systems.

    results: evaluations of "a2u", the model, and of the other rows on one test set.
    """
    metrics, digits = list(results["a2u"]["metrics"]), digits_for(results.values())
    columns = [Column("row", is_number=False), *(Column(TITLES[name]) for name in metrics)]
    rows = [
        [
            words(row),
            *(number([result["metrics"][name]], digits[name]) for name in metrics),
            count(result["params"]),
            number([seconds_per_image(result)], 2),
        ]
        for row, result in results.items()
    ]
    of_photographs = results["a2u"]["config"]["dataset"]["name"] == "alphamatting"
    tests = "photographs of alphamatting.com with true alpha (Trimap1)" if of_photographs else VALIDATION
    trained, origins = results["a2u"]["trained"], [result["provenance"] for result in results.values()]
    threads = ", ".join(sorted({f"{origin['device']}, threads: {origin['threads']}" for origin in origins}))
    texts = [
        f"The model in the package ({trained['row']}, scale {trained['scale']}, trained on {trained['dataset']} for "
        f"{trained['steps']:,} steps) next to pymatting's closed-form and KNN matting, on {origins[0]['test_images']} "
        f"{tests}.",
        "SAD, Grad and Conn are divided by 1,000; s/image is the wall time of an evaluation, reading and measuring "
        f"included, divided by its images ({threads}).",
        warnings({row: [{"row": row, **result}] for row, result in results.items()}),
    ]
    return Table([*columns, Column("params"), Column("s/image")], rows, " ".join(filter(None, texts)), "Shipped model")


def row_title(table: str, row: str) -> str:
    """Return a row's name, marked if its numbers are quoted, or if it is a control."""
    if row in quoted_rows(table):
        return f"{row} (quoted)"
    return f"{row} (control)" if row in controls(table) else row


def record_id(group: Group, row: str) -> str:
    """Return the id of a row's provenance on the HTML page."""
    return "-".join(filter(None, [*group, row]))


def paper_scale(runs: Sequence[dict[str, Any]]) -> int | None:
    """Return a row's parameters at the paper's width; None without results, or if another table trained it."""
    if not runs or "model" not in runs[0]["config"]:
        return None
    return _parameters(json.dumps(runs[0]["config"]))


@cache
def _parameters(config: str) -> int:
    """Return the same for a configuration in JSON, once for all tables: it takes building the network."""
    return paper_parameters(OmegaConf.create(json.loads(config)))


def reads_guide(runs: Sequence[dict[str, Any]]) -> Cell:
    """Return whether a row's operator reads the encoder's feature, or what its own downsampling returned."""
    operator = operators().get(runs[0]["config"]["upsampler"]["name"]) if runs else None
    return words(None if operator is None else "yes" if operator.reads_guide else "no")


def speed(runs: Sequence[dict[str, Any]]) -> Cell:
    """Return the samples/s of a row's training, the mean over its seeds; a dash if nothing was trained."""
    # 0: killed after its last step, before its result
    return number(mean_of(rate for run in runs if (rate := run["provenance"].get("samples_per_second"))), 0, ",")


def seconds_per_image(run: dict[str, Any]) -> float:
    """Return the wall time of an evaluation divided by its images."""
    seconds: float = run["provenance"]["wall_seconds"] / run["provenance"]["test_images"]
    return seconds


def mean_of(values: Iterable[float]) -> list[float]:
    """Return the mean as a list; an empty one without values."""
    found = list(values)
    return [statistics.fmean(found)] if found else []


def digits_for(runs: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return the decimal places of each metric: as in the paper, for mattes one more if every SAD is below 10."""
    return SMALL if all(run["metrics"].get("sad", 0) < 10 for run in runs) else DIGITS


def as_printed(value: float | None, metric: str) -> Cell:
    """Format a printed number with the paper's decimal places, or as a dash."""
    return DASH if value is None else Cell(f"{value:.{DIGITS[metric]}f}", key=value)


def one_result(result: dict[str, Any]) -> str:
    """Return a single run as a small table, next to the printed numbers if the paper has that row."""
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
    rate = f"  {rate:,.0f} samples/s" if rate else ""
    return f"{title}  {result['params']:,} parameters{rate}\n{Table.of_texts(header, lines).text()}"


def evaluation(result: dict[str, Any]) -> str:
    """Return an evaluation as text: every image if measured separately, the means, and stated numbers."""
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
        lines.append([f"{by} (Composition-1k)", *(str(as_printed(numbers[name], name)) for name in metrics)])
        if result["weights"] and result["config"]["metrics"]["rounding"] == "nearest":
            title += (
                "\nThe programs these weights come with cut alphas off to 8 bits instead of rounding: "
                "metrics.rounding=truncate for the same."
            )
    return f"{title}\n{Table.of_texts(['', *(TITLES[name] for name in metrics)], lines).text()}"


def measured(metrics: Mapping[str, MattingMetrics]) -> str:
    """Return measured alphas as text: every picture and the mean, the programs (matlab first) side by side."""
    header, columns = [""], [[*next(iter(metrics.values())).images]]
    columns[0].append(f"mean of {len(columns[0])}")
    for program, found in metrics.items():
        for name, mean in found.mean().items():
            header.append(TITLES[name] if program == "matlab" else f"{TITLES[name]} ({program})")
            values = [row.get(name) for row in found.images.values()]
            columns.append([*("undefined" if value is None else f"{value:.6g}" for value in values), f"{mean:.6g}"])
    return Table.of_texts(header, list(zip(*columns, strict=True))).text()
