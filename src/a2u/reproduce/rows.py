"""The rows of a table as runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from a2u.config import ModelConfig, TableConfig, compose, options_of
from a2u.engine.identity import Places, identity
from a2u.engine.run import check, make_model
from a2u.errors import ConfigError
from a2u.models.build import count_parameters
from a2u.reproduce.published import published, rows_of


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
        if override.lstrip("+").startswith(("seed=", "experiment=")):
            raise ConfigError(
                f"{override} cannot be given to a table, which sets it for every row; use seeds and rows."
            )
    if cfg.seeds < 1:
        raise ConfigError(f"seeds must be at least 1; got {cfg.seeds}.")
    if cfg.jobs is not None and cfg.jobs < 1:
        raise ConfigError(f"jobs must be at least 1; got {cfg.jobs}.")
    runs = []
    for row in [row for row in known if row in (cfg.rows or known)]:
        for seed in range(cfg.seeds):
            complete = (f"experiment={cfg.table}/{row}", f"seed={seed}", *overrides)
            composed = compose(complete)
            if seed == 0:
                check(composed)
            runs.append(RowRun(row, seed, complete, composed, identity(composed)))
    return runs


def paper_parameters(cfg: DictConfig) -> int:
    """Parameters of a row's network at the paper's width and depth, whatever the scale it was run at."""
    full = cfg.copy()
    full.model = ModelConfig(name=cfg.model.name, norm=cfg.model.norm, aspp=cfg.model.aspp)
    with torch.device("meta"):
        return count_parameters(make_model(full))
