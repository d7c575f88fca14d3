"""Choose the rows of the figures, and load their trained networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from a2u.apply.systems import load_network
from a2u.data.files.folders import file_sha256
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.prepare import choose_device, make_model
from a2u.errors import ConfigError, did_you_mean
from a2u.models.networks.base import MattingNetwork
from a2u.reproduce.evaluations import weights_of
from a2u.reproduce.rows import RowRun, row_runs
from a2u.reproduce.settings import RowsConfig, TableConfig
from a2u.settings import field, schema


@schema("figures")
@dataclass
class FiguresConfig(RowsConfig):
    """configs/figures.yaml: which figures to draw; further keys are those of train.py."""

    figures: list[int] = field(
        [], "empty: 1, 4, 5, 7, and 6 where its photographs are given; 8, not of the paper: operators' weights"
    )
    systems: list[str] = field([], "rows shown side by side in Figures 4, 6, 7; empty: all")
    images: list[str] = field([], "test images of Figures 1, 4, 5, 8; empty: evenly spaced ones")
    photographs: str | None = field(None, "folder of the alphamatting.com photographs, for Figure 6")
    folder: str | None = field(None, "where the figures go; null: <runtime.outputs>/figures/<dataset>/<scale>")


class Wanted(NamedTuple):
    """A row of a table that a figure shows, its heading, and what it changes in the row."""

    table: str
    row: str
    title: str
    overrides: tuple[str, ...] = ()


FEATURES = (
    Wanted("table2", "nearest", "nearest"),
    Wanted("table2", "bilinear", "bilinear"),
    Wanted("table2", "a2u_dynamic_cs_d_norm", "A2U"),
)
OPEN = ("upsampler.kernel_norm=softmax", "upsampler.normalise_uv=true")  # kernels that no sigmoid closes
KERNELS = (
    Wanted("table2", "a2u_hybrid_cw", "A2U"),
    Wanted("table2", "a2u_hybrid_cw", "A2U with norm and softmax", OPEN),
)
WEIGHTS = tuple(
    Wanted("successors", row, title)
    for row, title in {
        "nearest": "nearest",
        "bilinear": "bilinear",
        "carafe": "CARAFE",
        "indexnet": "IndexNet",
        "a2u_dynamic_cs": "A2U",
        "a2u_dynamic_cs_d_norm": "A2U, d, norm",
        "sapa_i": "SAPA-I",
        "sapa_b": "SAPA-B",
        "sapa_g": "SAPA-G",
        "sapa_d": "SAPA-D",
        "fade": "FADE",
        "fade_lite": "FADE-Lite",
        "dysample": "DySample",
        "dysample_s": "DySample-S",
        "lda_aqu": "LDA-AQU",
        "freqfusion": "FreqFusion",
        "freqfusion_resample": "FreqFusion, resampling",
        "resfu": "ReSFU",
        "jbu": "JBU",
    }.items()
)
QUALITATIVE = (  # the ten systems of Table 5, each trained by one recipe, and the baseline
    Wanted("table5", "closed_form", "Closed-Form"),
    Wanted("table5", "knn", "KNN"),
    Wanted("table5", "dim", "DIM"),
    Wanted("table5", "indexnet_matting", "IndexNet Matting"),
    Wanted("table5", "adamatting_reading", "AdaMatting-like"),
    Wanted("table5", "context_aware", "Context-Aware"),
    Wanted("table5", "gca", "GCA Matting"),
    Wanted("table2", "nearest", "baseline (nearest)"),
    Wanted("table2", "a2u_hybrid_cw", "ours (hybrid-cw)"),
    Wanted("table2", "a2u_dynamic_cs", "ours (dynamic-cs)"),
    Wanted("table2", "a2u_dynamic_cs_d_norm", "ours (dynamic-cs-d)"),
)


@dataclass(frozen=True)
class Column:
    """A finished row of a figure."""

    wanted: Wanted
    run: RowRun
    result: dict[str, Any]  # as a2u.engine.identity.finished gives it

    def initial(self) -> MattingNetwork:
        """Return its network with initial values, in evaluation mode, on runtime.device."""
        return self._ready(make_model(self.run.cfg))

    def network(self) -> MattingNetwork:
        """Return its network with the weights of the last epoch, in evaluation mode, on runtime.device.

        Raises:
            CheckpointError: the checkpoint is gone or damaged.
        """
        if not self.run.learns:
            return self.initial()
        path = weights_of(self.run, self.result)
        return self._ready(load_network(path, self.run.cfg, load_checkpoint(path)))

    def _ready(self, model: nn.Module) -> MattingNetwork:
        assert isinstance(model, MattingNetwork)
        return model.eval().to(choose_device(self.run.cfg.runtime.device))

    def origin(self) -> str:
        """Return a caption line: the row, and identifiers of its run, code and weights."""
        provenance, wanted, weights = self.result["provenance"], self.wanted, self.run.weights(self.result)
        parts = [f"{wanted.title}: {wanted.table}/{wanted.row}, seed {self.run.seed}", *wanted.overrides]
        if weights is None:
            parts.append("nothing to train")
        else:
            parts += [f"{provenance['steps']:,} steps", f"last checkpoint, sha256 {file_sha256(weights)[:16]}"]
        commit = provenance["commit"][:12] + (" with uncommitted changes" if provenance["dirty"] else "")
        return ", ".join([*parts, f"run {self.run.hash[:8]}", f"commit {commit}"])


def chosen(settings: FiguresConfig) -> list[Wanted]:
    """Return the columns of Figures 4, 6 and 7 in `settings`, in the figures' order.

    Raises:
        ConfigError: one of another name.
    """
    known = [wanted.row for wanted in QUALITATIVE]
    for row in settings.systems:
        if row not in known:
            raise ConfigError(
                f"Figures 4, 6 and 7 have no system {row!r}; they have: {', '.join(known)}.{did_you_mean(row, known)}"
            )
    return [wanted for wanted in QUALITATIVE if not settings.systems or wanted.row in settings.systems]


def runs_of(wanted: Sequence[Wanted], overrides: Sequence[str]) -> dict[Wanted, RowRun]:
    """Return the run of seed 0 for each column.

    Raises:
        ConfigError: an override that no row takes, or an impossible combination.
    """
    found: dict[Wanted, RowRun] = {}
    for table, own in dict.fromkeys((each.table, each.overrides) for each in wanted):
        mine = [each for each in wanted if (each.table, each.overrides) == (table, own)]
        rows = list(dict.fromkeys(each.row for each in mine))
        runs = {run.row: run for run in row_runs(TableConfig(table=table, rows=rows), [*overrides, *own])}
        found |= {each: runs[each.row] for each in mine}
    return found
