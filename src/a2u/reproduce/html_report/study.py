"""The open study as a section of the page, where its results are there."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from a2u.reproduce.html_report.pictures import drawn
from a2u.reproduce.html_report.records import record
from a2u.reproduce.html_report.tables import Block, Section, as_grid
from a2u.reproduce.render import Results
from a2u.reproduce.study.conclusion import conclusion, hypotheses
from a2u.reproduce.study.protocol import BASELINE, SCALES
from a2u.reproduce.study.records import load, measured
from a2u.reproduce.study.report import draw_curves, draw_intervals
from a2u.reproduce.study.tables import findings_of, main_table, main_words, pairs_table, secondary_table, setting_of


def study_sections(root: Path) -> list[Section]:
    """A section with the blocks of each scale; none where `root` has no results of the study."""
    found = {scale: load(root / scale) for scale in SCALES}
    blocks = [block for scale, records in found.items() if records for block in _blocks(scale, records, root / scale)]
    return [Section("study", "Open study", "do the operators differ?", blocks)] if blocks else []


def _blocks(scale: str, records: Results, folder: Path) -> Iterator[Block]:
    """What is concluded from, the pairs of A2U rows that differ, and what nothing is concluded from."""
    yield _main(scale, records, folder)
    pairs = pairs_table(findings_of(records, folder))
    if pairs[1]:
        words = "Shown to differ in SAD, Holm-corrected over all pairs; in percent of the baseline's mean."
        yield Block(
            f"A2U rows among each other, {scale}", as_grid(f"Pairs of A2U rows, scale {scale}", pairs), words, []
        )
    for part, where, metrics in (
        ("test", "generated test images", ("mse", "grad", "conn")),
        ("photographs", "photographs", ("sad", "mse", "grad", "conn")),
    ):
        results = measured(records, part)
        if results:
            grid = as_grid(f"Secondary measures on {where}, scale {scale}", secondary_table(results, metrics))
            yield Block(f"Secondary measures on {where}, {scale}", grid, "Nothing is concluded from these.", [])


def _main(scale: str, records: Results, folder: Path) -> Block:
    found, setting = findings_of(records, folder), setting_of(records)
    header, lines = main_table(records, found)
    runs = measured(records, "test")
    origins = {row: record(f"{scale}-{row}", of_row) for row, of_row in runs.items()}

    def owner(row: str, title: str) -> str:
        return "" if title in ("verdict", "paper", "params") else origins[row].id

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
