"""The open study as a section of the page, where its results are there."""

from functools import partial
from pathlib import Path

from a2u.reproduce.page.pictures import drawn
from a2u.reproduce.page.records import record
from a2u.reproduce.page.tables import Block, Section, as_grid
from a2u.reproduce.render import Results
from a2u.reproduce.study.conclusion import conclusion, hypotheses
from a2u.reproduce.study.protocol import BASELINE, SCALES
from a2u.reproduce.study.records import load, measured
from a2u.reproduce.study.report import draw_curves, draw_intervals
from a2u.reproduce.study.tables import findings_of, main_table, main_words, setting_of


def study_sections(root: Path) -> list[Section]:
    """A section with a block a scale; none where `root` has no results of the study."""
    found = {scale: load(root / scale) for scale in SCALES}
    blocks = [_block(scale, records, root / scale) for scale, records in found.items() if records]
    return [Section("study", "Open study", "do the operators differ?", blocks)] if blocks else []


def _block(scale: str, records: Results, folder: Path) -> Block:
    found, setting = findings_of(records, folder), setting_of(records)
    header, lines = main_table(records, found)
    runs = measured(records, "test")
    origins = {row: record(f"{scale}-{row}", of_row) for row, of_row in runs.items()}

    def owner(row: str, title: str) -> str:
        return "" if title in ("verdict", "paper") else origins[row].id

    differences = drawn(
        partial(draw_intervals, records),
        f"Difference of every row from {BASELINE} at scale {scale}, a line a row: seeds as points, their mean with its "
        "95% interval, and the paper’s difference",
        "Below zero is better.",
    )
    curves = drawn(
        partial(draw_curves, records),
        f"Learning curves of the study at scale {scale}: SAD on the validation images over training steps, a line a "
        "row",
        "Learning curves on the validation images.",
    )
    return Block(
        title=f"{setting.test_images} generated test images, {scale}",
        grid=as_grid(f"The open study, scale {scale}", (header, lines), list(runs), owner),
        words=conclusion(found, setting),
        records=list(origins.values()),
        notes=[" ".join(hypotheses(found)), main_words(found, setting)],
        drawings=[*differences, *curves],
    )
