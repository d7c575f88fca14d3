"""Table 6 on a page: what was measured, with words below it, and apart from it what the paper prints."""

import statistics
from collections.abc import Iterator
from typing import Any

from a2u.reproduce.caption import other_programs, scale_words
from a2u.reproduce.marks import marks_words
from a2u.reproduce.published import metrics_of, published
from a2u.reproduce.render import TITLES, Results, as_markdown, as_text, digits_for, metric_cells, scores_of

TABLE = "table6"
Measured = dict[str, Results]  # test set, such as "synthetic_small" -> row -> its results, one a seed

QUOTED_WORDS = (
    "Printed in the paper's Table 6, quoted and not measured here: average rank by gradient error on alphamatting.com, "
    "over all trimaps and by trimap (S small, L large, U drawn by a user), and gradient error of each photograph by "
    "trimap, S / L / U. The eight photographs have no public true alpha."
)


def page(group: str, scale: str, measured: Measured) -> tuple[str, str]:
    """Text and Markdown: a table of what was measured, its caption, the paper's table.

    Args:
        group: "alphamatting" or "synthetic", what the test sets are of.
        scale: of the trained rows.
        measured: by test set and row; a row without results shows dashes.
    """
    ours, words, paper = measured_cells(group, measured), caption(group, scale, measured), quoted_cells()
    text = f"{as_text(*ours)}\n{words}\n\n{QUOTED_WORDS}\n\n{as_text(*paper)}"
    return text, f"{as_markdown(*ours)}\n{words}\n\n{QUOTED_WORDS}\n\n{as_markdown(*paper)}"


def measured_cells(group: str, measured: Measured) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a block of four metrics for each test set, parameters, seconds."""
    metrics, digits = metrics_of(TABLE), digits_for(_all(measured))
    header = ["row", *(f"{_kind(group, test)} {TITLES[name]}" for test in measured for name in metrics)]
    header += ["params", "s/image"]
    columns = [metric_cells(results, name, digits[name]) for results in measured.values() for name in metrics]
    lines = []
    for row in dict.fromkeys(row for results in measured.values() for row in results):
        cells, of_row = [row], [run for results in measured.values() for run in results[row]]
        cells += [column[row] for column in columns]
        cells.append(f"{of_row[0]['params']:,}" if of_row else "—")
        cells.append(f"{statistics.fmean(map(_seconds, of_row)):.2f}" if of_row else "—")
        lines.append(cells)
    return header, lines


def quoted_cells() -> tuple[list[str], list[list[str]]]:
    """Header and rows of the paper's own table."""
    content = published()[TABLE]
    header = ["method", "rank", "rank S", "rank L", "rank U", *(f"grad {image}" for image in content["images"])]
    lines = [
        [f"{row} (quoted)", *map(str, content[row]["rank"]), *(" / ".join(map(str, e)) for e in content[row]["grad"])]
        for row in content
        if row != "images"
    ]
    return header, lines


def caption(group: str, scale: str, measured: Measured) -> str:
    """One paragraph for what was measured."""
    every = list(_all(measured))
    text = [_what(group, measured)]
    trained = [run for run in every if run["trained"]]
    if trained:
        text.append(_trained(scale, trained))
    rows = {run["row"] for run in every}
    classic = [row for row in ("closed_form", "knn") if row in rows]
    if classic:
        text.append(f"{' and '.join(classic)}: solved by the package pymatting, nothing is trained.")
    if "trimap_only" in rows:
        text.append("trimap_only is the reference, alpha 0.5 in the unknown region; it is not compared.")
    devices = sorted({f"{run['provenance']['device']}, threads: {run['provenance']['threads']}" for run in every})
    text.append(
        "SAD, Grad and Conn are divided by 1,000. s/image is the wall time of an evaluation, reading and measuring "
        f"included, divided by its images ({'; '.join(devices) or 'none yet'})."
    )
    text += dict.fromkeys(marks_words(scores_of(results, metrics_of(TABLE)[0])) for results in measured.values())
    text += other_programs(every)
    for test, results in measured.items():
        sums = {run["provenance"]["data_sha256"] for runs in results.values() for run in runs}
        if len(sums) > 1:
            text.append(f"WARNING: rows were evaluated on different {test} (data_sha256), and cannot be compared.")
    undefined = sorted({name for run in every for name in run["undefined"]})
    if undefined:
        text.append(f"Left out of the means, no unknown pixel: {', '.join(undefined)}.")
    text += dict.fromkeys(f"WARNING: {run['row']}: {warning}" for run in every for warning in run["warnings"])
    return " ".join(filter(None, text))


def _what(group: str, measured: Measured) -> str:
    every = list(_all(measured))
    counts = sorted({run["provenance"]["test_images"] for run in every})
    images = " or ".join(map(str, counts)) or "no"
    if group == "alphamatting":
        what = (
            f"Measured on photographs of alphamatting.com that have a true alpha (dataset=alphamatting), {images} "
            "images, each with two trimaps: the unknown region of Trimap1 is the smaller one."
        )
    else:
        widths = dict.fromkeys(
            f"{_kind(group, run['dataset'])} {run['config']['dataset']['trimap']} pixels" for run in every
        )
        what = (
            f"Measured on generated images (dataset=synthetic), {images} images, each with three trimaps: the known "
            f"regions eroded by an ellipse ({', '.join(widths) or 'none yet'})."
        )
    return f"Table 6. {what} The paper's numbers, further down, are of other photographs."


def _trained(scale: str, trained: list[dict[str, Any]]) -> str:
    """Which network learned from what, how long."""
    seeds, config = len({run["seed"] for run in trained}), trained[0]["trained"]["config"]
    data = f"dataset={config['dataset']['name']}"
    data += ", test foregrounds too (split=all)" if config["dataset"].get("split") == "all" else ""
    return (
        f"{trained[0]['row']}: A2U, dynamic-cs-d with norm, trained on {data}, with trimaps eroded by ellipses of 1 to "
        f"{config['sample']['trimap_max']} pixels; {seeds} seed{'s (mean ± standard deviation)' if seeds > 1 else ''}. "
        f"Scale {scale}: {scale_words(scale, trained[0]['trained'])}"
    )


def _kind(group: str, test: str) -> str:
    """The kind of trimaps of a test set: "alphamatting_trimap1" -> "Trimap1"."""
    return test.removeprefix(f"{group}_").capitalize()


def _all(measured: Measured) -> Iterator[dict[str, Any]]:
    return (run for results in measured.values() for runs in results.values() for run in runs)


def _seconds(run: dict[str, Any]) -> float:
    """Of an evaluation, for each of its images."""
    return run["provenance"]["wall_seconds"] / run["provenance"]["test_images"]
