"""Tables as text and Markdown, measured beside printed."""

import statistics
from collections.abc import Sequence
from typing import Any

from a2u.reproduce.published import printed

METRICS = ("sad", "mse", "grad", "conn")
TITLES = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}
DIGITS = {"sad": 2, "mse": 4, "grad": 2, "conn": 2}  # as the paper prints them
SMALL = {"sad": 3, "mse": 4, "grad": 3, "conn": 3}  # where values are below 10


def scale_note(scale: str, config: dict[str, Any]) -> str:
    """What a scale is, with the numbers of one of its runs."""
    model, sample, trainer = config["model"], config["sample"], config["trainer"]
    setting = (
        f"{trainer['epochs'] * trainer['iterations']:,} steps of {trainer['batch_size']} crops of {sample['crop']} x "
        f"{sample['crop']}, network of width {model['width']:g} with {'/'.join(map(str, model['encoder_blocks']))} and "
        f"{model['decoder_blocks']} blocks a stage{'' if model['aspp'] else ', no pyramid pooling'}"
    )
    notes = {
        "smoke": "A few steps, to see that every part works; the numbers mean nothing.",
        "lite": "Evidence that every row runs and learns, not a ranking: seeds differ by as much as the operators do.",
        "paper": "The setting of Sec. 6.3.",
    }
    return f"Scale {scale}: {setting}. {notes.get(scale, '')}".strip()


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, and ± sample standard deviation where there are several values."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def table_cells(
    table: str, results: dict[str, list[dict[str, Any]]], paper_parameters: dict[str, int]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table.

    Args:
        table: such as "table2".
        results: for each row, in order, its results, one a seed; a row without any shows dashes.
        paper_parameters: for each row the parameters of its network at the paper's width.
    """
    header = ["row", *TITLES.values(), "best SAD", "params", "paper-scale params"]
    header += [f"printed {title}" for title in TITLES.values()] + ["printed params"]
    lines = []
    small = all(run["metrics"]["sad"] < 10 for runs in results.values() for run in runs)
    digits = SMALL if small else DIGITS
    for row, runs in results.items():
        cells = [row]
        for name in METRICS:
            cells.append(spread([run["metrics"][name] for run in runs], digits[name]) if runs else "—")
        best = [run["best"]["sad"] for run in runs if run["best"]]
        cells.append(spread(best, digits["sad"]) if best else "—")
        cells.append(f"{runs[0]['params']:,}" if runs else "—")
        cells.append(f"{paper_parameters[row]:,}")
        in_paper = printed(table, row)
        for name in (*METRICS, "params"):
            value = in_paper.get(name)
            cells.append("—" if value is None else value if isinstance(value, str) else f"{value:.{DIGITS[name]}f}")
        lines.append(cells)
    return header, lines


def caption(table: str, dataset: str, scale: str, results: dict[str, list[dict[str, Any]]]) -> str:
    """What the numbers are, on what, and how far they can be trusted."""
    counts = [len(runs) for runs in results.values() if runs] or [0]
    seeds = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    finished = [run for runs in results.values() for run in runs]
    trained = [run for run in finished if run["params"]]
    images = sorted({run["provenance"]["test_images"] for run in finished})
    text = [
        f"{table.replace('table', 'Table ')} on dataset={dataset}, "
        f"{' or '.join(map(str, images)) or 'no'} test images, "
        f"{seeds} seed{'s' if max(counts) != 1 else ''}{' (mean ± standard deviation)' if max(counts) > 1 else ''}.",
        *([scale_note(scale, trained[-1]["config"])] if trained else []),
        "SAD, Grad and Conn are divided by 1,000. Metrics are the last epoch's; 'best SAD' is the lowest of the "
        "evaluated epochs on the test set, which is how the paper chose its checkpoint. 'Printed' is the paper's "
        "figure on Composition-1k.",
        "trimap_only is the reference: alpha 0.5 in the unknown region.",
    ]
    several = [
        [run["metrics"]["sad"] for run in runs] for runs in results.values() if len(runs) > 1 and runs[0]["params"]
    ]
    if several:
        spreads = [100 * statistics.stdev(values) / statistics.fmean(values) for values in several]
        text.append(f"Over seeds, a row's SAD has a standard deviation of {min(spreads):.0f} to {max(spreads):.0f}%.")
    if len({run["provenance"]["data_sha256"] for run in finished}) > 1:
        text.append("WARNING: rows were evaluated on test sets that differ (data_sha256), and cannot be compared.")
    if len({run["hash"] for run in finished}) < len(finished):
        text.append("Rows of equal configuration are one run.")
    roundings = {run["config"]["metrics"]["rounding"] for run in finished}
    programs = {run["config"]["metrics"]["program"] for run in finished}
    if programs - {"matlab"} or roundings - {"nearest"}:
        text.append(f"Metrics of the program {', '.join(sorted(programs))}; rounding {', '.join(sorted(roundings))}.")
    undefined = sorted({name for run in finished for name in run["undefined"]})
    if undefined:
        text.append(f"Left out of the means, no unknown pixel: {', '.join(undefined)}.")
    return " ".join(text)


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
    in_paper = printed(result["table"], result["row"])
    header = ["", *TITLES.values()]
    lines = [["measured", *(f"{result['metrics'][name]:.4f}" for name in METRICS)]]
    if result["best"]:
        lines.append([f"best epoch ({result['best']['epoch']:.0f})", *(f"{result['best'][m]:.4f}" for m in METRICS)])
    if in_paper:
        lines.append(["printed (Composition-1k)", *(f"{in_paper[name]:g}" for name in METRICS)])
    title = f"{result['table']}/{result['row']}  dataset={result['dataset']} scale={result['scale']}"
    return f"{title} seed={result['seed']}  {result['params']:,} parameters\n{as_text(header, lines)}"


def evaluation(result: dict[str, Any]) -> str:
    """A checkpoint's evaluation: every image and the mean."""
    lines = []
    for image in result["images"]:
        defined = image["sad"] is not None
        lines.append([image["name"], *(f"{image[name]:.4f}" if defined else "undefined" for name in METRICS)])
    lines.append([f"mean of {len(lines)}", *(f"{result['metrics'][name]:.4f}" for name in METRICS)])
    trained = result["trained"]
    title = (
        f"{trained['table']}/{trained['row']} trained on {trained['dataset']} ({trained['scale']}, seed "
        f"{trained['seed']}, {trained['steps']} steps), evaluated on {result['dataset']}; files: {result['folder']}"
    )
    return f"{title}\n{as_text(['', *TITLES.values()], lines)}"
