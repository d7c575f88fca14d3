"""The rows of a table as runs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from a2u.config import compose, options_of
from a2u.engine.identity import Places, identity
from a2u.engine.prepare import check, make_model
from a2u.errors import ConfigError, NoPlaceError, did_you_mean
from a2u.models.build import count_parameters
from a2u.models.networks import networks
from a2u.reproduce.published import about, named_rows, published, rows_of, task_of
from a2u.reproduce.settings import TableConfig
from a2u.settings import SCHEMAS, validate

# The keys that define a row; a table whose rows all shared one of these would be silently wrong.
ROWS_OWN = ("experiment", "task", "table", "row", "seed", "upsampler", "upsampler.name", "model", "model.name")
EVERY_ROW = ["all"]  # rows=[all]: also those that a table runs when they are named alone
# The sizes of a network that small scales change.
SCALED = {"width", "encoder_blocks", "decoder_blocks", "middle_units", "aspp"}


@dataclass(frozen=True, eq=False)
class RowRun:
    """One row with one seed."""

    row: str
    seed: int
    overrides: tuple[str, ...]  # what scripts/train.py is called with
    cfg: DictConfig
    hash: str

    @property
    def title(self) -> str:
        return f"{self.row} seed {self.seed}"

    @property
    def places(self) -> Places:
        return Places.of(self.cfg)

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return learns(self.cfg)

    def weights(self, result: dict[str, Any]) -> Path | None:
        """Return the last checkpoint, next to the result, whichever table ran it; None if there is nothing to train.

        result: of this run, as a2u.engine.identity.finished gives it.
        """
        return Path(result["path"]).with_name(self.places.last.name) if self.learns else None


def row_runs(cfg: TableConfig, overrides: Sequence[str]) -> list[RowRun]:
    """Return every row and seed of a table configuration, seeds of a row together, all checked.

    overrides: applied to every row, after the table's own.

    Raises:
        ConfigError: unknown table, row or key, or an impossible combination.
    """
    tables = sorted(published())
    if cfg.table not in tables:
        raise ConfigError(
            f"there is no table {cfg.table!r}; there are: {', '.join(tables)}.{did_you_mean(cfg.table, tables)}"
        )
    known, others = rows_of(cfg.table), other_rows(cfg.table)
    among = [*known, *named_rows(cfg.table)] if cfg.rows == EVERY_ROW else cfg.rows or known
    for row in among:
        if row not in [*known, *others]:
            further = f" Rows that run when named: {', '.join(others)}." if others else ""
            raise ConfigError(
                f"{cfg.table} has no row {row!r}; its rows: {', '.join(known)}.{further}"
                f"{did_you_mean(row, [*known, *others])}"
            )
    if cfg.baseline is not None and cfg.baseline not in among:
        raise ConfigError(
            f"baseline={cfg.baseline} is not among the rows asked for: {', '.join(among)}."
            f"{did_you_mean(cfg.baseline, among)}"
        )
    for override in overrides:
        key = override.lstrip("+~").split("=")[0]
        if key in ROWS_OWN:
            raise ConfigError(
                f"{override} cannot be given to a table, whose rows set {key} themselves: use rows, seeds."
            )
    validate(cfg)
    overrides = [*_of_table(cfg.table, overrides), *overrides]
    runs: list[RowRun] = []
    for row in [row for row in [*known, *others] if row in among]:
        choice = _choice(cfg.table, row)
        given = _of_row(choice, overrides)
        composed = compose([*choice, *given])
        try:
            check(composed)
        except NoPlaceError as error:
            if cfg.rows not in ([], EVERY_ROW):
                raise
            print(f"{row} is left out: {error}", file=sys.stderr)
            continue
        for seed in range(cfg.seeds) if learns(composed) else [0]:  # without training there is nothing random
            seeded = composed.copy()
            seeded.seed = seed
            complete = (*choice, f"seed={seed}", *given)
            runs.append(RowRun(row, seed, complete, seeded, identity(seeded)))
    return runs


def _of_table(table: str, overrides: Sequence[str]) -> list[str]:
    """Return the table's own overrides of those keys that the dataset in `overrides` has."""
    own = about(table).get("overrides")
    if not own:
        return []
    dataset = compose([override for override in overrides if override.startswith("dataset=")]).dataset
    return [override for key, override in own.items() if key in dataset]


def _of_row(choice: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Drop overrides of `model` and `init_from` if the row has nothing to train, as trimap_only."""
    of_model = [override for override in overrides if override.startswith(("model.", "init_from"))]
    if not of_model or learns(compose(choice)):
        return list(overrides)
    return [override for override in overrides if override not in of_model]


def other_rows(table: str) -> list[str]:
    """Return what is a row when it is named: rows with a config, then operators of configs/upsampler."""
    return [*named_rows(table), *(name for name in options_of("upsampler") if name not in rows_of(table))]


def _choice(table: str, row: str) -> list[str]:
    """Return the overrides that define a row: its experiment, or an operator in the network the table's rows share."""
    if row in [*rows_of(table), *named_rows(table)]:
        return [f"experiment={table}/{row}"]
    return [f"task={task_of(table)}", f"upsampler={row}", f"table={table}", f"row={row}"]


def learns(cfg: DictConfig) -> bool:
    """Whether there is anything to train."""
    return networks()[cfg.model.name].trained


def paper_parameters(cfg: DictConfig) -> int:
    """Return the parameters of a row's network at paper scale, whatever the scale it was run at."""
    full = cfg.copy()
    for key in SCALED & set(cfg.model):
        full.model[key] = getattr(SCHEMAS[f"model/{cfg.model.name}"](), key)
    with torch.device("meta"):
        return count_parameters(make_model(full))
