"""Write the caption of a table: setting and test set, what the numbers are, warnings; a sentence each."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from a2u.config import compose
from a2u.reproduce.changes import conclusion, without_content
from a2u.reproduce.published import about, controls, is_printed_on, named_rows, printed_on, quoted_rows, task_of

if TYPE_CHECKING:
    from a2u.reproduce.render import Group, Results

STEPS_OF_TABLE_1 = 60_000


def caption(group: "Group", results: "Results") -> str:
    """Return at most three sentences for a table's results."""
    runs = [run for of_row in results.values() for run in of_row]
    texts = [_setting(group, results, runs), _numbers(group, results, runs)]
    return " ".join(filter(None, [*texts, warnings(results, quoted_rows(group.table))]))


def _setting(group: "Group", results: "Results", runs: list[dict[str, Any]]) -> str:
    """Say what was measured, on how many images, with how many seeds, after how much training."""
    trained = [run for run in runs if run["params"]]
    counts = {len(of_row) for of_row in results.values() if of_row and (of_row[0]["params"] or not trained)} or {0}
    seeds = " to ".join(map(str, sorted({min(counts), max(counts)}))) + f" seed{'s' if max(counts) != 1 else ''}"
    seeds += " (mean ± standard deviation)" if max(counts) > 1 else ""
    images = " or ".join(f"{each:,}" for each in sorted({run["provenance"]["test_images"] for run in runs})) or "no"
    kind = "test images"
    datasets = [run["config"].get("dataset", {}) for run in runs]
    if any(dataset.get("held_out", 0) >= 1 for dataset in datasets):  # a number of training pictures
        kind = "held-out training images"
    elif any(dataset.get("held_out") or dataset.get("test") == "validation" for dataset in datasets):  # a share
        kind = "validation images"
    elif group.measured_on == "mnist5k":
        kind += " (of MNIST's training split)"
    parts = [f"{group.title}: {images} {kind}, {seeds}"]
    if trained:
        # the paper's own network speaks for the others
        configs = [_training(run) for run in trained]
        parts.append(scale_words(group.scale, next((each for each in configs if _has_blocks(each)), configs[-1])))
    return "; ".join(parts) + "."


def _training(run: dict[str, Any]) -> dict[str, Any]:
    """Return the result of the training behind a number: the run's own or, for an evaluation, the one it records."""
    return run.get("trained") or run


def _has_blocks(run: dict[str, Any]) -> bool:
    return "encoder_blocks" in run["config"]["model"]


def scale_words(scale: str, run: dict[str, Any]) -> str:
    """Describe size and length of the training, from one of the runs, and whether it is the paper's setting."""
    model, sample, trainer = (run["config"][node] for node in ("model", "sample", "trainer"))
    is_papers, paper = False, ""  # nobody has printed the probe
    if run["config"].get("task") == "probe":
        setting = (
            f"{run['provenance']['steps']:,} steps of {trainer['batch_size']} crops of {sample['crop']} x "
            f"{sample['crop']}, {model['channels']} channels"
        )
    elif run["config"].get("task") == "reconstruction":
        steps = run["provenance"]["steps"]
        setting = (
            f"{run['provenance']['train_images']:,} training pictures, {steps:,} steps of {trainer['batch_size']} "
            f"pictures in {trainer['epochs']} epochs"
        )
        is_papers = steps == STEPS_OF_TABLE_1
        paper = "the paper: 60,000 pictures, 60,000 steps, 100 epochs"
    else:
        setting = (
            f"{trainer['epochs'] * trainer['iterations']:,} steps of {trainer['batch_size']} crops of "
            f"{sample['crop']} x {sample['crop']}, width {model['width']:g}"
        )
        if _has_blocks(run):
            blocks = "/".join(map(str, [*model["encoder_blocks"], model["decoder_blocks"]]))
            setting += f", {blocks} blocks{'' if model['aspp'] else ', no pyramid pooling'}"
        is_papers = scale == "paper" and _is_papers(run["config"])
        paper = "not the setting of Sec. 6.3"
    if run["config"].get("init_from") is not None:
        setting, is_papers = f"{setting}, started from the weights {run['config']['init_from']}", False
    if scale == "smoke":
        return f"{setting}, to see that every part works; the numbers mean nothing"
    if not paper:
        return setting
    note = "evidence that every row runs and learns, not a ranking; " if scale == "lite" else ""
    return f"{setting} ({'the setting of the paper' if is_papers else note + paper})"


def _is_papers(config: dict[str, Any]) -> bool:
    """Return whether a matting run of scale=paper kept that scale's number of steps, batch, crop and width."""
    paper = compose([f"dataset={config['dataset']['name']}", "scale=paper"])
    return (
        all(config["trainer"][key] == paper.trainer[key] for key in ("epochs", "iterations", "batch_size"))
        and config["sample"]["crop"] == paper.sample.crop
        and config["model"].get("width") == paper.model.width
    )


def shows_best(group: "Group") -> bool:
    """Return whether a table has a column of the best epoch: the paper chose checkpoints so, the probe does not."""
    return not group.test and task_of(group.table) != "probe"


def _numbers(group: "Group", results: "Results", runs: list[dict[str, Any]]) -> str:
    """Explain the columns, the metric program, and the test set of the printed numbers."""
    if task_of(group.table) == "reconstruction":
        parts = ["PSNR in dB and RMSE (the paper's column MSE) are over all pixels"]
        parts.append("only an operator that reads its guide sees more of the picture than the map at 1/8")
        parts += ["predictions are clamped to 0..1"] * any(run["config"]["metrics"].get("clamp") for run in runs)
    elif task_of(group.table) == "probe":
        parts = ["MAE, MSE and Grad (divided by 1,000) are over the pixels of 0 < alpha < 1"]
        parts += ["'blank guide' is the same operator trained with a blank picture for its guide"]
        parts += ["nobody has printed such numbers"]
    else:
        parts = ["SAD, Grad and Conn are divided by 1,000"]
        programs = {run["config"]["metrics"].get("program", "matlab") for run in runs} - {"matlab"}
        roundings = {run["config"]["metrics"].get("rounding", "nearest") for run in runs} - {"nearest"}
        parts += [f"metrics of the program {', '.join(sorted(programs))}"] * bool(programs)
        parts += [f"rounding {', '.join(sorted(roundings))}"] * bool(roundings)
    if group.test:
        parts.append("weights are each run's last; s/image is wall time, reading and measuring included")
    else:
        best = ", 'best' the best epoch's on the test set" if shows_best(group) else ""
        parts.append(f"metrics are the last epoch's{best}")
    shown = not group.test or is_printed_on(group.table, group.measured_on)
    where = printed_on(group.table, group.measured_on) if shown else ""
    whose = about(group.table).get("printed_by", "the paper's")
    parts += [f"printed numbers are {whose} on {where}"] * bool(where)
    parts += filter(None, [conclusion(group.table, without_content(group.table, results))])
    if any(results.get(row) for row in named_rows(group.table)):
        parts.append("rows without printed numbers are not in the paper")
    elif any(results.get(row) for row in controls(group.table)):
        parts.append("controls are not in the paper")
    return "; ".join(parts) + "."


def warnings(results: "Results", quoted: Collection[str] = ()) -> str:
    """Return warnings about the numbers; empty if there are none.

    quoted: rows that are never run.
    """
    runs = [run for of_row in results.values() for run in of_row]
    absent = [row for row, of_row in results.items() if not of_row and row not in quoted]
    found = [f"missing, not finished: {', '.join(absent)}"] * bool(absent)
    if len({run["provenance"]["data_sha256"] for run in runs}) > 1:
        found.append("rows were evaluated on test sets that differ (data_sha256), and cannot be compared")
    if any(run["provenance"].get("dirty") for run in runs):
        found.append("run with uncommitted changes")
    found += dict.fromkeys(f"{run['row']}: {said.rstrip('.')}" for run in runs for said in run.get("warnings", []))
    undefined = sorted({name for run in runs for name in run["undefined"]})
    found += [f"left out of the means, no unknown pixel: {', '.join(undefined)}"] * bool(undefined)
    return f"WARNING: {'; '.join(found)}." if found else ""
