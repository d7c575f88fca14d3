"""The rows of a table as runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from a2u.config import MattingModelConfig, TableConfig, compose, options_of
from a2u.engine.identity import Places, identity
from a2u.engine.run import check, make_model
from a2u.errors import ConfigError
from a2u.models.build import count_parameters
from a2u.reproduce.published import published, rows_of

# What makes a row that row; a table in which all rows shared one of these would be wrong without a word.
ROWS_OWN = ("experiment", "task", "table", "row", "seed", "upsampler", "upsampler.name", "model", "model.name")


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


def row_runs(cfg: TableConfig, overrides: Sequence[str]) -> list[RowRun]:
    """Every row and seed that a table configuration asks for, seeds of a row together, all checked.

    overrides: handed to every row.

    Raises:
        ConfigError: unknown table, row or key, or an impossible combination.
    """
    tables = sorted({name.split("/")[0] for name in options_of("experiment")})
    if cfg.table not in tables or cfg.table not in published():
        raise ConfigError(f"there is no table {cfg.table!r}; there are: {', '.join(tables)}.")
    known = rows_of(cfg.table)
    for row in cfg.rows:
        if row not in known:
            raise ConfigError(f"{cfg.table} has no row {row!r}; its rows: {', '.join(known)}.")
    for override in overrides:
        key = override.lstrip("+~").split("=")[0]
        if key in ROWS_OWN:
            raise ConfigError(
                f"{override} cannot be given to a table, whose rows set {key} themselves: use rows, seeds."
            )
    if cfg.seeds < 1:
        raise ConfigError(f"seeds must be at least 1; got {cfg.seeds}.")
    if cfg.jobs is not None and cfg.jobs < 1:
        raise ConfigError(f"jobs must be at least 1; got {cfg.jobs}.")
    runs = []
    for row in [row for row in known if row in (cfg.rows or known)]:
        composed = compose([f"experiment={cfg.table}/{row}", *overrides])
        check(composed)
        for seed in range(cfg.seeds):
            seeded = composed.copy()
            seeded.seed = seed
            complete = (f"experiment={cfg.table}/{row}", f"seed={seed}", *overrides)
            runs.append(RowRun(row, seed, complete, seeded, identity(seeded)))
    return runs


def paper_parameters(cfg: DictConfig) -> int:
    """Parameters of a row's network as the paper has it, whatever the scale it was run at."""
    full = cfg.copy()
    if "width" in cfg.model:  # the matting network, which small scales make smaller
        full.model = MattingModelConfig(name=cfg.model.name, norm=cfg.model.norm)
    with torch.device("meta"):
        return count_parameters(make_model(full))
