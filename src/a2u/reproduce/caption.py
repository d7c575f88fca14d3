"""The words below a table: what its numbers are, on what, and how far they can be trusted."""

import statistics
from typing import Any

from a2u.reproduce.marks import marks_words
from a2u.reproduce.published import QUOTED, lines_of, metrics_of, printed, printed_on
from a2u.reproduce.render import TITLES, Results, scores_of

OTHER_SYSTEMS = ("dim", "indexnet_matting", "context_aware", "gca")
SMOKE = "A few steps, to see that every part works; the numbers mean nothing."
STUDY = "The setting of the open study (docs/study.md), which is measured on other images than these."


def caption(table: str, dataset: str, scale: str, results: Results) -> str:
    """One paragraph for a table's results."""
    finished = [run for runs in results.values() for run in runs]
    trained = [run for run in finished if run["params"]]
    main = metrics_of(table)[0]
    text = [_what(table, dataset, results)]
    if trained:
        # the paper's own network speaks for the others
        typical = next((run for run in trained if "encoder_blocks" in run["config"]["model"]), trained[-1])
        text.append(f"Scale {scale}: {scale_words(scale, typical)}".strip())
    others = [row for row, runs in results.items() if row in OTHER_SYSTEMS and any(run["params"] for run in runs)]
    if others:
        text.append(f"{', '.join(others)}: trained here as every other row, not by the recipes of their authors.")
    text += _metrics(table, dataset)
    text += _order(table, dataset, results) if main == "psnr" and scale != "smoke" else []
    several = [
        [run["metrics"][main] for run in runs] for runs in results.values() if len(runs) > 1 and runs[0]["params"]
    ]
    if several:
        text.append(f"Over seeds, a row's {TITLES[main]} has a standard deviation of {_deviations(main, several)}.")
    text.append(marks_words(scores_of(results, main)))
    if len({run["provenance"]["data_sha256"] for run in finished}) > 1:
        text.append("WARNING: rows were evaluated on test sets that differ (data_sha256), and cannot be compared.")
    if len({run["hash"] for run in finished}) < len(finished):
        text.append("Rows of equal configuration are one run.")
    quoted = [row for row in results if row in QUOTED.get(table, ())]
    if quoted:
        text.append(f"Quoted, not run here: {', '.join(quoted)} (no released program).")
    own = [row for row in results if row not in lines_of(table)]
    if own:
        text.append(f"No row of the paper, so nothing is printed there: {', '.join(own)}.")
    text += other_programs(finished)
    undefined = sorted({name for run in finished for name in run["undefined"]})
    if undefined:
        text.append(f"Left out of the means, no unknown pixel: {', '.join(undefined)}.")
    return " ".join(filter(None, text))


def _what(table: str, dataset: str, results: Results) -> str:
    trained = [runs for runs in results.values() if any(run["params"] for run in runs)]
    counts = [len(runs) for runs in trained or results.values() if runs] or [0]
    seeds = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    finished = [run for runs in results.values() for run in runs]
    images = sorted({run["provenance"]["test_images"] for run in finished})
    held_out = any(run["config"].get("dataset", {}).get("held_out") for run in finished)
    kind = "held-out training images" if held_out else "test images"
    digits = " Its digits, those to test on too, are from MNIST's training split." if dataset == "mnist5k" else ""
    return (
        f"{table.replace('table', 'Table ')} on dataset={dataset}, "
        f"{' or '.join(f'{count:,}' for count in images) or 'no'} {kind}, "
        f"{seeds} seed{'s' if max(counts) != 1 else ''}{' (mean ± standard deviation)' if max(counts) > 1 else ''}."
        f"{digits}"
    )


def scale_words(scale: str, run: dict[str, Any]) -> str:
    """What a scale is, with the numbers of one of its runs."""
    config = run["config"]
    model, sample, trainer = config["model"], config["sample"], config["trainer"]
    if run["config"].get("task") == "reconstruction":
        steps, pictures = run["provenance"]["steps"], run["provenance"]["train_images"]
        setting = (
            f"{pictures:,} training pictures, {trainer['epochs']} epochs, {steps:,} steps of "
            f"{trainer['batch_size']} pictures"
        )
        reduced = "Reduced: the paper has 60,000 pictures, 100 epochs, 60,000 steps."
        notes = {
            "smoke": SMOKE,
            "lite": "Reduced for two CPU cores: the paper has 60,000 pictures, 100 epochs, 60,000 steps. Few steps "
            "decide little; see the curves.",
            "paper": "The setting of Appendix A; what it does not say is in docs/deviations.md."
            if steps == 60_000
            else reduced,
            "medium": reduced,
        }
    else:
        setting = (
            f"{trainer['epochs'] * trainer['iterations']:,} steps of {trainer['batch_size']} crops of "
            f"{sample['crop']} x {sample['crop']}, network of width {model['width']:g}"
        )
        if "encoder_blocks" in model:
            setting += (
                f" with {'/'.join(map(str, model['encoder_blocks']))} and {model['decoder_blocks']} blocks a stage"
                f"{'' if model['aspp'] else ', no pyramid pooling'}"
            )
        reduced = "Reduced: not the setting of Sec. 6.3."
        notes = {
            "smoke": SMOKE,
            "lite": "Evidence that every row runs and learns, not a ranking: seeds differ by as much as the operators "
            "do.",
            "study": STUDY,
            "study_large": STUDY,
            "paper": "The setting of Sec. 6.3." if _is_papers(run) else reduced,
            "medium": reduced,
        }
    return f"{setting}. {notes.get(scale, '')}".strip()


def _is_papers(run: dict[str, Any]) -> bool:
    """Whether a matting run has the paper's size, and as many steps of as many crops of that size."""
    config = run["config"]
    trainer, dataset = config["trainer"], config.get("dataset", {}).get("name")
    epochs = 25 if dataset == "distinctions646" else 30
    steps = (trainer["epochs"], trainer["iterations"], trainer["batch_size"], config["sample"]["crop"])
    return steps == (epochs, 6000, 16, 512) and config["model"].get("width") == 1


def _metrics(table: str, dataset: str) -> list[str]:
    main = TITLES[metrics_of(table)[0]]
    if main == "PSNR":
        return [
            "PSNR (dB) and RMSE are over all pixels of the test set; the column the paper calls MSE is the root, RMSE.",
            "Metrics are the last epoch's; 'best PSNR' is the highest of the evaluated epochs on the test set.",
            f"'Printed' is the paper's figure on {printed_on(table, dataset)}. samples/s is the speed of training.",
        ]
    return [
        "SAD, Grad and Conn are divided by 1,000.",
        f"Metrics are the last epoch's; 'best {main}' is the lowest of the evaluated epochs on the test set, which is "
        f"how the paper chose its checkpoint. 'Printed' is the paper's figure on {printed_on(table, dataset)}.",
        "trimap_only is the reference, alpha 0.5 in the unknown region; it is not compared.",
    ]


def _order(table: str, dataset: str, results: Results) -> list[str]:
    """Which order of rows is reached at which budget, in plain words."""
    main = metrics_of(table)[0]
    curves = [run["curve"] for runs in results.values() for run in runs]
    if not curves or not all(results.values()):
        return []
    run = next(runs[0] for runs in results.values())
    epochs, steps = run["config"]["trainer"]["epochs"], run["provenance"]["steps"]
    common = set.intersection(*({int(score["epoch"]) for score in curve} for curve in curves))
    shown = sorted({min(common, key=lambda epoch: abs(epoch - share * epochs)) for share in (0.1, 0.3, 0.5, 1)})

    def score(row: str, epoch: int) -> float:
        return statistics.fmean(s[main] for run in results[row] for s in run["curve"] if int(s["epoch"]) == epoch)

    orders: dict[str, list[str]] = {}  # an order -> the numbers of steps after which it was seen
    for epoch in shown:
        order = " > ".join(sorted(results, key=lambda row: -score(row, epoch)))
        orders.setdefault(order, []).append(f"{steps * epoch // epochs:,}")
    text = [f"after {' and '.join(when)} steps {order}" for order, when in orders.items()]
    figures = {row: numbers[main] for row in results if (numbers := printed(table, row, dataset))}
    in_paper = " > ".join(sorted(figures, key=lambda row: -figures[row]))
    return [f"Order by {TITLES[main]}: {'; '.join([*text, *[f'printed {in_paper}'] * bool(in_paper)])}."]


def _deviations(main: str, several: list[list[float]]) -> str:
    deviations = [statistics.stdev(values) for values in several]
    digits, unit = 2, " dB"
    if main != "psnr":
        digits, unit = 0, "%"
        deviations = [
            100 * deviation / statistics.fmean(values) for deviation, values in zip(deviations, several, strict=True)
        ]
    least, most = f"{min(deviations):.{digits}f}", f"{max(deviations):.{digits}f}"
    return f"{least}{unit}" if least == most else f"{least} to {most}{unit}"


def other_programs(finished: list[dict[str, Any]]) -> list[str]:
    """Whose metrics these are, where they are not the usual ones."""
    measured = [run["config"]["metrics"] for run in finished]
    programs = {how["program"] for how in measured if "program" in how}
    roundings = {how["rounding"] for how in measured if "rounding" in how}
    text = []
    if programs - {"matlab"} or roundings - {"nearest"}:
        text.append(f"Metrics of the program {', '.join(sorted(programs))}; rounding {', '.join(sorted(roundings))}.")
    if any(how.get("clamp") for how in measured):
        text.append("Predictions were clamped to 0..1 before measuring.")
    return text
